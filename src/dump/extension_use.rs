//! Types, functions and operator classes of extensions that a dump uses without creating the
//! extension: `pg_dump -n schema` writes no `CREATE EXTENSION`.

use super::tokens::{Token, Tokens};

/// The extensions that a target may have, and the names that only they define (their control files
/// and SQL scripts, Postgres 17, pgvector 0.8, PostGIS 3.5).
const NAMES: [(&str, &[&str]); 13] = [
    ("citext", &["citext"]),
    ("fuzzystrmatch", &["soundex", "metaphone", "dmetaphone", "dmetaphone_alt", "levenshtein", "daitch_mokotoff"]),
    ("hstore", &["hstore"]),
    ("intarray", &["gin__int_ops", "gist__int_ops", "gist__intbig_ops", "query_int"]),
    ("isn", &["isbn", "isbn13", "issn", "ean13", "ismn"]),
    ("ltree", &["ltree", "lquery", "ltxtquery", "gist_ltree_ops"]),
    (
        "pg_trgm",
        &["gin_trgm_ops", "gist_trgm_ops", "similarity", "word_similarity", "strict_word_similarity", "show_trgm"],
    ),
    ("pgcrypto", &["gen_salt", "crypt", "pgp_sym_encrypt", "pgp_sym_decrypt", "gen_random_bytes", "hmac", "digest"]),
    ("postgis", &["geometry", "geography", "st_makepoint", "st_setsrid", "st_geomfromtext", "box2d", "box3d"]),
    ("tablefunc", &["crosstab", "crosstab2", "crosstab3", "crosstab4", "connectby", "normal_rand"]),
    ("unaccent", &["unaccent"]),
    (
        "uuid-ossp",
        &["uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v3", "uuid_generate_v4", "uuid_generate_v5"],
    ),
    (
        "vector",
        &["vector", "halfvec", "sparsevec", "vector_l2_ops", "vector_cosine_ops", "vector_ip_ops", "halfvec_l2_ops"],
    ),
];

/// The extensions that a definition uses, each with the schema that qualifies the name, if any.
/// Names of the definition's own objects do not count: a table may be named `vector`.
pub(super) fn used_extensions(text: &[u8]) -> Vec<(&'static str, Option<String>, String)> {
    let is_view = Tokens::new(text).take(6).any(|token| token.is("VIEW"));
    let mut tokens = Tokens::new(text).take(20_000).peekable();
    let mut found = Vec::new();
    let mut before: [Option<Token>; 2] = [None, None];
    while let Some(token) = tokens.next() {
        if let Token::Word(word) | Token::Quoted(word) = &token {
            let name = word.to_ascii_lowercase();
            let extension = NAMES.iter().find(|(_, names)| names.contains(&name.as_str()));
            if let Some((extension, _)) = extension.filter(|_| is_reference(&before, tokens.peek(), is_view)) {
                let dotted = matches!(before[1], Some(Token::Sign('.')));
                let schema = before[0].as_ref().filter(|_| dotted).and_then(Token::name);
                // In a view, `name.column` is the column of a table or its alias.
                let is_column = is_view && tokens.peek() != Some(&Token::Sign('('));
                if is_column && schema.as_deref().is_some_and(|schema| !COMMON_SCHEMAS.contains(&schema)) {
                    before = [before[1].take(), Some(token)];
                    continue;
                }
                found.push((*extension, schema, name));
            }
        }
        before = [before[1].take(), Some(token)];
    }
    found
}

/// Schemas that extensions are usually in.
pub(super) const COMMON_SCHEMAS: [&str; 2] = ["public", "extensions"];

/// Whether an extension of the list defines an object of this name.
pub(super) fn is_extension_name(name: &str) -> bool {
    NAMES.iter().any(|(_, names)| names.contains(&name))
}

/// Whether a name may be of one of the extensions that every project has in `public` (vector, pgcrypto,
/// uuid-ossp, pg_trgm), by the beginnings of their names.
pub(super) fn may_be_of_project(name: &str) -> bool {
    const BEGINNINGS: [&str; 32] = [
        "vector",
        "halfvec",
        "sparsevec",
        "l1_",
        "l2_",
        "cosine_",
        "inner_product",
        "hamming_",
        "jaccard_",
        "binary_quantize",
        "subvector",
        "array_to_",
        "ivfflat",
        "hnsw",
        "avg",
        "sum",
        "gin_",
        "gtrgm",
        "gist_",
        "similarity",
        "word_similarity",
        "strict_word",
        "show_",
        "set_limit",
        "uuid_",
        "pgp_",
        "gen_",
        "crypt",
        "digest",
        "hmac",
        "encrypt",
        "decrypt",
    ];
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) || ["armor", "dearmor"].contains(&name)
}

/// Whether one of these names is an extension's.
pub(super) fn defines(extension: &str, names: &std::collections::BTreeSet<String>) -> bool {
    let own = NAMES.iter().find(|(name, _)| *name == extension).map_or(&[][..], |(_, names)| names);
    own.iter().any(|name| names.contains(*name))
}

/// Whether a name stands where a type, a function call or an operator class can be, and not the name
/// of a column, table or schema.
fn is_reference(before: &[Option<Token>; 2], after: Option<&Token>, is_view: bool) -> bool {
    if after == Some(&Token::Sign('.')) {
        return false; // a schema or table
    }
    if is_view {
        return before[1] == Some(Token::Sign('.')) || after == Some(&Token::Sign('('));
    }
    match &before[1] {
        Some(Token::Sign('.')) => true,
        // The type of a column, parameter or result, a cast, or an operator class after a column.
        Some(Token::Word(word)) => !KEYWORDS.contains(&word.as_str()),
        Some(Token::Quoted(_) | Token::Sign(':' | ')')) => true,
        Some(Token::Sign(_)) => after == Some(&Token::Sign('(')),
        _ => false,
    }
}

/// Words before the name of an object that the statement itself creates or changes.
const KEYWORDS: [&str; 22] = [
    "TABLE",
    "EXISTS",
    "COLUMN",
    "INDEX",
    "ON",
    "VIEW",
    "FUNCTION",
    "TYPE",
    "DOMAIN",
    "SCHEMA",
    "SEQUENCE",
    "ONLY",
    "CONSTRAINT",
    "EXTENSION",
    "TRIGGER",
    "TO",
    "INTO",
    "FROM",
    "JOIN",
    "UPDATE",
    "REFERENCES",
    "COPY",
];

#[cfg(test)]
mod tests {
    use super::used_extensions;

    fn used(text: &str) -> Vec<(&'static str, Option<String>)> {
        used_extensions(text.as_bytes()).into_iter().map(|(name, schema, _)| (name, schema)).collect()
    }

    #[test]
    fn types_functions_and_operator_classes_are_found() {
        let public = Some("public".to_owned());
        assert_eq!(used("CREATE TABLE public.t (email public.citext NOT NULL);"), [("citext", public.clone())]);
        assert_eq!(used("CREATE TABLE t (h hstore, v vector(3));"), [("hstore", None), ("vector", None)]);
        assert_eq!(
            used("CREATE TABLE t (id uuid DEFAULT extensions.uuid_generate_v4());"),
            [("uuid-ossp", Some("extensions".to_owned()))]
        );
        assert_eq!(used("CREATE INDEX i ON t USING gin (name public.gin_trgm_ops);"), [("pg_trgm", public)]);
    }

    #[test]
    fn own_names_are_not_found() {
        for text in [
            "CREATE TABLE vector (id int, geometry int);",
            "CREATE TABLE t (vector text, geometry text);",
            "ALTER TABLE ONLY vector ADD COLUMN crypt int;",
            "INSERT INTO geometry VALUES ('vector');",
            "COMMENT ON COLUMN t.x IS 'a citext';",
        ] {
            assert_eq!(used(text), [], "{text}");
        }
    }
}
