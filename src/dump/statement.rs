//! Reads names and kinds from SQL statements.

use super::sql::{Script, without_messages};
use super::tokens::{Token, Tokens, first_word};
use super::treatment::RequestedExtension;
use std::io::Cursor;

/// Whether a statement creates a constraint that can be deferred, or defers constraints.
pub(super) fn defers_constraints(text: &[u8]) -> bool {
    let first = first_word(text);
    let may = ["create", "alter", "set"].iter().any(|word| first.eq_ignore_ascii_case(word.as_bytes()));
    let mut not = false;
    may && Tokens::new(text).any(|token| {
        let negated = std::mem::replace(&mut not, token.is("NOT"));
        (token.is("DEFERRABLE") && !negated) || token.is("CONSTRAINTS")
    })
}

/// The name, without its schema, of the object that a `CREATE` creates or that a `DROP` or `ALTER` of a
/// part concerns; `None` if the statement has another form.
pub fn object_name(text: &[u8]) -> Option<String> {
    const BEFORE: [&str; 30] = [
        "CREATE",
        "DROP",
        "ALTER",
        "OR",
        "REPLACE",
        "TEMP",
        "TEMPORARY",
        "UNLOGGED",
        "UNIQUE",
        "MATERIALIZED",
        "RECURSIVE",
        "FOREIGN",
        "CONSTRAINT",
        "TABLE",
        "VIEW",
        "INDEX",
        "SEQUENCE",
        "FUNCTION",
        "PROCEDURE",
        "AGGREGATE",
        "TYPE",
        "DOMAIN",
        "TRIGGER",
        "RULE",
        "POLICY",
        "IF",
        "NOT",
        "EXISTS",
        "ONLY",
        "CONCURRENTLY",
    ];
    let mut tokens = Tokens::new(text).skip_while(|token| BEFORE.iter().any(|word| token.is(word)));
    let mut name = tokens.next()?.name()?;
    while tokens.next()? == Token::Sign('.') {
        name = tokens.next()?.name()?;
    }
    Some(name)
}

/// The name, without its schema, of the object that a `CREATE` creates.
pub fn created_name(text: &[u8]) -> Option<String> {
    if first_word(text).eq_ignore_ascii_case(b"create") { object_name(text) } else { None }
}

/// The name in `CREATE PUBLICATION name`.
pub fn created_publication(text: &[u8]) -> Option<String> {
    let mut tokens = Tokens::new(text);
    let is_publication = tokens.next()?.is("CREATE") && tokens.next()?.is("PUBLICATION");
    tokens.next()?.name().filter(|_| is_publication)
}

/// Whether a statement is a `COPY`.
pub fn is_copy(text: &str) -> bool {
    first_word(text.as_bytes()).eq_ignore_ascii_case(b"copy")
}

/// Number of statements in a text, without empty ones.
pub fn count_statements(text: &str) -> usize {
    let mut script = Script::new(Cursor::new(text.as_bytes().to_vec()));
    let mut count = 0;
    while let Ok(Some(piece)) = script.next_piece() {
        count += usize::from(piece.kind.starts_statement() && !first_word(piece.bytes).is_empty());
    }
    count
}

/// Approximate kind of a statement without a heading; for rows and tables, the kind that pg_dump
/// uses.
pub fn approximate_kind(text: &[u8]) -> &'static str {
    let words: Vec<Token> = Tokens::new(text).take(6).collect();
    let first = |word: &str| words.first().is_some_and(|token| token.is(word));
    let names = |kind: &str| words.iter().skip(1).any(|token| token.is(kind));
    if ["COPY", "INSERT", "UPDATE", "DELETE"].into_iter().any(first) {
        return "TABLE DATA";
    }
    if first("CREATE") && ["TABLE", "TYPE", "DOMAIN", "SCHEMA"].into_iter().any(names) {
        return "TABLE";
    }
    if first("COMMENT") || first("GRANT") || first("REVOKE") { "ACL" } else { "STATEMENT" }
}

/// Whether a statement builds an index, also one of a primary key or unique constraint.
pub fn builds_index(text: &[u8]) -> bool {
    let first = first_word(text);
    if first.eq_ignore_ascii_case(b"create") {
        return Tokens::new(text).skip(1).find(|token| !token.is("UNIQUE")).is_some_and(|token| token.is("INDEX"));
    }
    first.eq_ignore_ascii_case(b"alter")
        && Tokens::new(text).take(16).any(|token| token.is("PRIMARY") || token.is("UNIQUE"))
}

/// `CREATE EXTENSION [IF NOT EXISTS] name [WITH] [SCHEMA schema] …`
pub fn extension(text: &[u8]) -> Option<RequestedExtension> {
    let mut tokens =
        Tokens::new(text).skip(2).skip_while(|token| token.is("IF") || token.is("NOT") || token.is("EXISTS"));
    let name = tokens.next()?.name()?;
    let schema = tokens.find(|token| token.is("SCHEMA")).and_then(|_| tokens.next()?.name());
    Some(RequestedExtension { name, schema })
}

/// The roles of `CREATE POLICY … TO role, …`, without SQL keywords such as `PUBLIC`.
pub fn policy_roles(text: &[u8]) -> Vec<String> {
    let mut depth = 0_u32;
    let mut tokens = Tokens::new(text).skip(2).filter(move |token| {
        depth += u32::from(*token == Token::Sign('('));
        let inside = depth > 0;
        depth = depth.saturating_sub(u32::from(*token == Token::Sign(')')));
        !inside
    });
    if tokens.by_ref().find(|token| token.is("TO") || token.is("USING")).is_none_or(|token| token.is("USING")) {
        return Vec::new();
    }
    tokens
        .take_while(|token| !token.is("USING") && !token.is("WITH") && *token != Token::Sign(';'))
        .filter(|token| !["PUBLIC", "CURRENT_USER", "CURRENT_ROLE", "SESSION_USER"].iter().any(|word| token.is(word)))
        .filter_map(|token| token.name())
        .collect()
}

/// Whether a text begins like SQL for psql, after comments.
pub fn starts_like_sql(start: &[u8]) -> bool {
    const FIRST_WORDS: [&str; 37] = [
        "DECLARE",
        "DISCARD",
        "END",
        "EXECUTE",
        "LISTEN",
        "PREPARE",
        "REFRESH",
        "SAVEPOINT",
        "SHOW",
        "VALUES",
        "ALTER",
        "ANALYZE",
        "BEGIN",
        "CALL",
        "CLUSTER",
        "COMMENT",
        "COMMIT",
        "COPY",
        "CREATE",
        "DELETE",
        "DO",
        "DROP",
        "EXPLAIN",
        "GRANT",
        "INSERT",
        "LOCK",
        "MERGE",
        "REINDEX",
        "RESET",
        "REVOKE",
        "SELECT",
        "SET",
        "START",
        "TRUNCATE",
        "UPDATE",
        "VACUUM",
        "WITH",
    ];
    match Tokens::new(without_messages(start)).next() {
        None => true, // only comments so far
        Some(Token::Word(word)) => FIRST_WORDS.contains(&word.as_str()),
        Some(Token::Sign('\\' | ';' | '(')) => true,
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_builds_are_recognized() {
        for text in [
            "CREATE INDEX i ON t (x);",
            "create unique index i on t (x);",
            "ALTER TABLE ONLY t\n ADD CONSTRAINT p PRIMARY KEY (x);",
        ] {
            assert!(builds_index(text.as_bytes()), "{text}");
        }
        for text in [
            "CREATE TABLE index (x int);",
            "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES u;",
            "INSERT INTO t VALUES (1);",
        ] {
            assert!(!builds_index(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn deferred_constraints_are_recognized() {
        for text in [
            "ALTER TABLE a ADD CONSTRAINT k FOREIGN KEY (x) REFERENCES b DEFERRABLE INITIALLY DEFERRED;",
            "SET CONSTRAINTS ALL DEFERRED;",
        ] {
            assert!(defers_constraints(text.as_bytes()), "{text}");
        }
        for text in ["CREATE TABLE a (x int REFERENCES b NOT DEFERRABLE);", "INSERT INTO deferrable VALUES (1);"] {
            assert!(!defers_constraints(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn names_of_created_and_dropped_objects_are_read() {
        for (text, name) in [
            ("DROP TABLE IF EXISTS public.\"A b\";", "A b"),
            ("ALTER TABLE ONLY public.child DROP CONSTRAINT k;", "child"),
            ("DROP INDEX CONCURRENTLY i;", "i"),
            ("CREATE OR REPLACE FUNCTION public.f(a int) RETURNS int;", "f"),
            ("CREATE MATERIALIZED VIEW m AS SELECT 1;", "m"),
        ] {
            assert_eq!(object_name(text.as_bytes()).as_deref(), Some(name), "{text}");
        }
        assert_eq!(created_name(b"DROP TABLE t;"), None);
        assert_eq!(created_name(b"CREATE TABLE a.t (x int);").as_deref(), Some("t"));
    }
}
