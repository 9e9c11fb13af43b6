//! Objects that only a superuser can create, and objects that need what a target does not have.

use super::settings::{HARMLESS, SettingSupport, support};
use super::tokens::{Token, Tokens};

/// Trusted languages that every target has.
const LANGUAGES: [&str; 4] = ["sql", "plpgsql", "c", "internal"];

/// Options of text search dictionaries that name a file on the server.
const FILE_OPTIONS: [&str; 6] = ["DICTFILE", "AFFFILE", "THESAURUS", "SYNONYMS", "RULES", "STOPWORDS"];

/// What about a `CREATE` needs a superuser or is missing on the target; `None` for ordinary objects.
pub(super) fn requirement(text: &[u8]) -> Option<String> {
    let tokens: Vec<Token> = Tokens::new(text).take(2000).collect();
    let is_modifier = |token: &Token| ["OR", "REPLACE", "TRUSTED", "PROCEDURAL"].iter().any(|word| token.is(word));
    let at = 1 + tokens.iter().skip(1).position(|token| !is_modifier(token))?;
    let (kind, rest) = (&tokens[at], &tokens[at + 1..]);
    let next = |word: &str| rest.first().is_some_and(|token| token.is(word));
    let found = match kind {
        _ if kind.is("OPERATOR") && next("CLASS") => "an operator class needs a superuser",
        _ if kind.is("OPERATOR") && next("FAMILY") => "an operator family needs a superuser",
        _ if kind.is("ACCESS") && next("METHOD") => "an access method needs a superuser",
        _ if kind.is("TRANSFORM") => "a transform needs a superuser or the owner of its type",
        _ if kind.is("CAST") => return cast(rest),
        _ if kind.is("TYPE") && has_option(rest, "INPUT") => "a base type needs a superuser",
        _ if kind.is("TYPE") && rest.last() == Some(&Token::Sign(';')) && rest.len() <= 4 => {
            "a shell type needs a superuser"
        }
        _ if kind.is("TEXT") && next("SEARCH") => return text_search(rest, text),
        _ if kind.is("AGGREGATE") => return aggregate(rest),
        _ if kind.is("FUNCTION") || kind.is("PROCEDURE") => return function(rest),
        _ if kind.is("LANGUAGE") => {
            let name = rest.first()?.name()?;
            let known = LANGUAGES.iter().any(|language| name.eq_ignore_ascii_case(language));
            return (!known).then(|| format!("the target does not have the language {name}"));
        }
        _ => return None,
    };
    Some(found.to_owned())
}

/// Words in the names of built-in types.
const BUILT_IN_TYPES: [&str; 46] = [
    "bigint",
    "bit",
    "bool",
    "boolean",
    "box",
    "bytea",
    "char",
    "character",
    "cidr",
    "circle",
    "date",
    "decimal",
    "double",
    "float",
    "float4",
    "float8",
    "inet",
    "int",
    "int2",
    "int4",
    "int8",
    "integer",
    "interval",
    "json",
    "jsonb",
    "line",
    "macaddr",
    "money",
    "name",
    "numeric",
    "oid",
    "point",
    "polygon",
    "precision",
    "real",
    "smallint",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "uuid",
    "varchar",
    "varying",
    "without",
    "with",
    "zone",
];

/// `(… option = …)`
fn has_option(tokens: &[Token], option: &str) -> bool {
    tokens.windows(2).any(|pair| pair[0].is(option) && pair[1] == Token::Sign('='))
}

/// A cast needs the owner of one of its types, and only superusers own built-in types.
fn cast(rest: &[Token]) -> Option<String> {
    if rest.windows(2).any(|pair| pair[0].is("WITHOUT") && pair[1].is("FUNCTION")) {
        return Some("a cast without a function needs a superuser".to_owned());
    }
    let end = rest.iter().position(|token| *token == Token::Sign(')'))?;
    let built_in = |token: &Token| token.name().is_none_or(|name| BUILT_IN_TYPES.contains(&name.as_str()));
    let names = rest[..end].iter().filter(|token| !token.is("AS") && !token.is("PG_CATALOG"));
    let is_own = names.into_iter().any(|token| !built_in(token));
    (!is_own).then(|| "a cast between built-in types needs a superuser".to_owned())
}

/// Languages for which Postgres has a file of stop words.
const STOP_WORDS: [&str; 15] = [
    "danish",
    "dutch",
    "english",
    "finnish",
    "french",
    "german",
    "hungarian",
    "italian",
    "nepali",
    "norwegian",
    "portuguese",
    "russian",
    "spanish",
    "swedish",
    "turkish",
];

fn text_search(rest: &[Token], text: &[u8]) -> Option<String> {
    if rest.get(1).is_some_and(|token| token.is("PARSER") || token.is("TEMPLATE")) {
        return Some("a text search parser or template needs a superuser".to_owned());
    }
    let has_stop_words = || {
        let literals = text.split(|byte| *byte == b'\'').skip(1).step_by(2);
        literals.into_iter().any(|name| STOP_WORDS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())))
    };
    let is_missing = |option: &&&str| has_option(rest, option) && !(**option == "STOPWORDS" && has_stop_words());
    let file = FILE_OPTIONS.iter().find(is_missing)?;
    Some(format!("a text search dictionary needs a file on the server ({})", file.to_lowercase()))
}

/// Since Postgres 14 the array functions take `anycompatiblearray`, so an aggregate of `anyarray` over
/// them no longer exists (release notes of 14).
fn aggregate(rest: &[Token]) -> Option<String> {
    const CHANGED: [&str; 3] = ["ARRAY_APPEND", "ARRAY_PREPEND", "ARRAY_CAT"];
    let changed = rest.iter().any(|token| CHANGED.iter().any(|name| token.is(name)));
    let old = rest.iter().any(|token| token.is("ANYARRAY"));
    if changed && old {
        return Some("an aggregate over array functions that Postgres 14 changed; use anycompatiblearray".to_owned());
    }
    let internal =
        rest.windows(3).any(|three| three[0].is("STYPE") && three[1] == Token::Sign('=') && three[2].is("INTERNAL"));
    internal.then(|| "an aggregate with internal state needs a superuser".to_owned())
}

fn function(rest: &[Token]) -> Option<String> {
    let mut depth = 0_u32;
    let clauses: Vec<&Token> = rest
        .iter()
        .filter(|token| {
            depth += u32::from(**token == Token::Sign('('));
            let inside = depth > 0;
            depth = depth.saturating_sub(u32::from(**token == Token::Sign(')')));
            !inside
        })
        .collect();
    let after = |word: &str| clauses.windows(2).find(|pair| pair[0].is(word)).map(|pair| pair[1]);
    if let Some(language) = after("LANGUAGE").and_then(Token::name) {
        let known = LANGUAGES.iter().any(|name| language.eq_ignore_ascii_case(name));
        let untrusted = ["c", "internal"].iter().any(|name| language.eq_ignore_ascii_case(name));
        if !known {
            return Some(format!("the target does not have the language {language}"));
        }
        if untrusted {
            return Some(format!("a function in the untrusted language {language} needs a superuser"));
        }
    }
    let leakproof = clauses.iter().position(|token| token.is("LEAKPROOF"));
    if leakproof.is_some_and(|at| at == 0 || !clauses[at - 1].is("NOT")) {
        return Some("a LEAKPROOF function needs a superuser".to_owned());
    }
    if clauses.windows(2).any(|pair| pair[0].is("SUPPORT") && pair[1].name().is_some()) {
        return Some("a function with a support function needs a superuser".to_owned());
    }
    let of_extension = clauses.windows(3).filter(|three| three[0].is("SET")).find_map(|three| {
        let name = three[1].name()?;
        (name.contains('.') || *three[2] == Token::Sign('.')).then_some(name)
    });
    if let Some(name) = of_extension {
        return Some(format!("a function with the setting {name} of an extension or application needs a superuser"));
    }
    let setting = clauses.windows(2).filter(|pair| pair[0].is("SET")).filter_map(|pair| pair[1].name());
    let guarded = setting.into_iter().find(|name| {
        support(name, u32::MAX) == SettingSupport::SuperuserOnly && !HARMLESS.contains(&name.to_lowercase().as_str())
    });
    guarded.map(|name| format!("a function with the superuser-only setting {name}"))
}

#[cfg(test)]
mod tests {
    use super::requirement;

    #[test]
    fn superuser_objects_are_recognized() {
        for (text, expected) in [
            ("CREATE OPERATOR CLASS public.c FOR TYPE int USING btree AS OPERATOR 1 <;", Some("operator class")),
            ("CREATE OPERATOR public.@@ (FUNCTION = f, LEFTARG = int);", None),
            ("CREATE CAST (text AS integer) WITH INOUT AS IMPLICIT;", Some("built-in types")),
            ("CREATE CAST (public.money2 AS integer) WITH FUNCTION public.f(public.money2);", None),
            ("CREATE CAST (public.a AS public.b) WITHOUT FUNCTION;", Some("without a function")),
            ("CREATE TYPE public.t (INPUT = public.i, OUTPUT = public.o);", Some("base type")),
            ("CREATE TYPE public.t AS (input text);", None),
            ("CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = ispell, dictfile = 'x');", Some("dictfile")),
            ("CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple, stopwords = 'english');", None),
            ("CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple, stopwords = 'mine');", Some("stopwords")),
            ("CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = snowball, language = 'english');", None),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql LEAKPROOF AS $$select 1$$;", Some("LEAKPROOF")),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql NOT LEAKPROOF AS $$select 1$$;", None),
            ("CREATE FUNCTION f(language text) RETURNS TABLE(set text) LANGUAGE plpgsql AS $$ $$;", None),
            (
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET log_statement TO 'none' AS $$ $$;",
                Some("log_statement"),
            ),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path TO 'public' AS $$ $$;", None),
            ("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE plperl AS $$ $$;", Some("language plperl")),
            ("CREATE TRUSTED PROCEDURAL LANGUAGE plv8;", Some("language plv8")),
            ("CREATE AGGREGATE a(anyelement) (SFUNC = array_append, STYPE = anyarray);", Some("Postgres 14")),
            ("CREATE CAST (e AS integer) WITH FUNCTION f(e);", None),
            ("CREATE CAST (pg_catalog.int4 AS double precision) WITH INOUT;", Some("built-in types")),
            ("CREATE TYPE public.shell;", Some("shell type")),
            ("CREATE TYPE public.e AS ENUM ('a');", None),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET app.x TO '1' AS $$select 1$$;", Some("app")),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET \"app.x\" TO '1' AS $$select 1$$;", Some("app.x")),
            ("CREATE FUNCTION f(int) RETURNS int LANGUAGE sql SUPPORT s AS $$select 1$$;", Some("support")),
            ("CREATE AGGREGATE a(int) (SFUNC = int4pl, STYPE = int);", None),
        ] {
            let found = requirement(text.as_bytes());
            let matches = expected.map_or(found.is_none(), |words| found.as_deref().is_some_and(|f| f.contains(words)));
            assert!(matches, "{text}: {found:?}");
        }
    }
}
