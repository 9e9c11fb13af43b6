//! Objects that only a superuser can create, and objects that need what a target does not have.

use super::settings::{HARMLESS, SettingSupport, support};
use super::tokens::{Token, Tokens};

/// Trusted languages that every target has.
const LANGUAGES: [&str; 4] = ["sql", "plpgsql", "c", "internal"];

/// Options of text search dictionaries that name a file on the server.
const FILE_OPTIONS: [&str; 5] = ["DICTFILE", "AFFFILE", "THESAURUS", "SYNONYMS", "RULES"];

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
        _ if kind.is("CAST") => return cast(rest),
        _ if kind.is("TYPE") && has_option(rest, "INPUT") => "a base type needs a superuser",
        _ if kind.is("TEXT") && next("SEARCH") => return text_search(rest),
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

/// `(… option = …)`
fn has_option(tokens: &[Token], option: &str) -> bool {
    tokens.windows(2).any(|pair| pair[0].is(option) && pair[1] == Token::Sign('='))
}

/// A cast needs the owner of one of its types, and nobody but a superuser owns built-in types.
fn cast(rest: &[Token]) -> Option<String> {
    if rest.windows(2).any(|pair| pair[0].is("WITHOUT") && pair[1].is("FUNCTION")) {
        return Some("a cast without a function needs a superuser".to_owned());
    }
    let end = rest.iter().position(|token| *token == Token::Sign(')'))?;
    let qualified = rest[..end]
        .windows(2)
        .any(|pair| pair[1] == Token::Sign('.') && !pair[0].is("PG_CATALOG") && pair[0].name().is_some());
    (!qualified).then(|| "a cast between built-in types needs a superuser".to_owned())
}

fn text_search(rest: &[Token]) -> Option<String> {
    if rest.get(1).is_some_and(|token| token.is("PARSER") || token.is("TEMPLATE")) {
        return Some("a text search parser or template needs a superuser".to_owned());
    }
    let file = FILE_OPTIONS.iter().find(|option| has_option(rest, option))?;
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
            ("CREATE AGGREGATE a(int) (SFUNC = int4pl, STYPE = int);", None),
        ] {
            let found = requirement(text.as_bytes());
            let matches = expected.map_or(found.is_none(), |words| found.as_deref().is_some_and(|f| f.contains(words)));
            assert!(matches, "{text}: {found:?}");
        }
    }
}
