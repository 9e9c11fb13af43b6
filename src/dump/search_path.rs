//! Functions that find their tables by the search path. Indexes and materialized views are built with
//! an empty one (pg_dump since CVE-2018-1058; Postgres 17 always), so such a function fails there.

use super::references::in_extract;
use super::tokens::{Token, Tokens};
use std::collections::BTreeSet;

/// Names kept per function.
const NAMES: usize = 100;

/// A function without a search path of its own, or a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenFunction {
    /// `schema.name`
    pub(super) name: String,
    pub(super) is_view: bool,
    /// Names in its body without a schema: tables after `FROM` and the like, functions, and types. Of a
    /// view, only those in the query of `ts_stat`, which is text.
    pub(super) unqualified: BTreeSet<String>,
    /// Functions and relations that its body names with their schema.
    pub(super) calls: BTreeSet<String>,
}

/// Parses a `CREATE FUNCTION` in SQL or PL/pgSQL without `SET search_path`; `None` for all others.
pub(super) fn open_function(text: &[u8]) -> Option<OpenFunction> {
    let mut tokens = Tokens::new(text);
    let mut head = Vec::new();
    let mut body = None;
    while let Some((token, raw, _)) = tokens.next_with_text() {
        if token == Token::Literal && head.last().is_some_and(|last: &Token| last.is("AS")) {
            body = Some(raw);
        }
        head.push(token);
    }
    let at = head.iter().take(5).position(|token| token.is("FUNCTION"))?;
    let [schema, Token::Sign('.'), name, ..] = head.get(at + 1..)? else { return None };
    let has = |word: &str| head.iter().any(|token| token.is(word));
    if has("SEARCH_PATH") || !(has("PLPGSQL") || has("SQL")) {
        return None;
    }
    let body: Vec<Token> = Tokens::new(inside(body?)).take(20_000).collect();
    // It sets the path itself, or it may never run what it names, or expects that to fail.
    let is_conditional = ["IF", "CASE", "EXCEPTION", "LOOP"].iter().any(|word| body.iter().any(|token| token.is(word)));
    let sets_path = body.iter().any(|token| token.is("SEARCH_PATH") || token.is("SET_CONFIG"));
    if sets_path || (has("PLPGSQL") && is_conditional) {
        return None;
    }
    Some(OpenFunction {
        name: format!("{}.{}", schema.name()?, name.name()?),
        is_view: false,
        unqualified: unqualified_names(&body),
        calls: used_names(&body).take(NAMES).collect(),
    })
}

/// Parses a `CREATE [MATERIALIZED] VIEW`, whose functions run when a materialized view is built from it.
pub(super) fn open_view(text: &[u8]) -> Option<OpenFunction> {
    let mut reader = Tokens::new(text);
    let next = std::iter::from_fn(|| reader.next_with_text());
    let (tokens, raw): (Vec<Token>, Vec<&[u8]>) = next.take(20_000).map(|(token, raw, _)| (token, raw)).unzip();
    let at = tokens.iter().take(6).position(|token| token.is("VIEW")).filter(|_| tokens[0].is("CREATE"))?;
    let [schema, Token::Sign('.'), name, ..] = tokens.get(at + 1..)? else { return None };
    let queries = (3..tokens.len()).filter(|at| {
        tokens[*at] == Token::Literal && tokens[at - 1] == Token::Sign('(') && tokens[at - 2].is("TS_STAT")
    });
    let unqualified = queries.flat_map(|at| unqualified_names(&Tokens::new(inside(raw[at])).collect::<Vec<_>>()));
    Some(OpenFunction {
        name: format!("{}.{}", schema.name()?, name.name()?),
        is_view: true,
        unqualified: unqualified.collect(),
        calls: used_names(&tokens[at + 4..]).take(NAMES).collect(),
    })
}

/// The text between the quotes or dollar tags of a literal.
fn inside(literal: &[u8]) -> &[u8] {
    let length = match literal {
        [b'$', rest @ ..] => 2 + rest.iter().position(|byte| *byte == b'$').unwrap_or_default(),
        _ => 1,
    };
    literal.get(length..literal.len().saturating_sub(length)).unwrap_or_default()
}

/// The functions that a text calls, as `schema.name`.
fn qualified_calls(tokens: &[Token]) -> impl Iterator<Item = String> {
    let calls = tokens.windows(4).filter(|four| four[1] == Token::Sign('.') && four[3] == Token::Sign('('));
    calls.filter_map(|four| Some(format!("{}.{}", four[0].name()?, four[2].name()?)))
}

/// The functions that a text calls and the relations that it reads, as `schema.name`.
fn used_names(tokens: &[Token]) -> impl Iterator<Item = String> {
    let begins =
        |token: &Token| matches!(token, Token::Sign('(' | ',')) || ["FROM", "JOIN"].iter().any(|word| token.is(word));
    let relations = tokens.windows(4).filter(move |four| begins(&four[0]) && four[2] == Token::Sign('.'));
    let relations = relations.filter_map(|four| Some(format!("{}.{}", four[1].name()?, four[3].name()?)));
    qualified_calls(tokens).chain(relations)
}

/// Functions of the grammar, which never name a function of the user (Postgres, "SQL Key Words").
const SYNTAX: [&str; 14] = [
    "CAST",
    "COALESCE",
    "EXISTS",
    "EXTRACT",
    "GREATEST",
    "IN",
    "LEAST",
    "NORMALIZE",
    "NULLIF",
    "OVERLAY",
    "POSITION",
    "ROW",
    "SUBSTRING",
    "TRIM",
];

fn unqualified_names(tokens: &[Token]) -> BTreeSet<String> {
    const BEFORE_TABLES: [&str; 3] = ["FROM", "JOIN", "UPDATE"];
    let none = Token::Sign(' ');
    let is_cte = |name: &Token| {
        tokens.windows(3).any(|three| three[0] == *name && three[1].is("AS") && three[2] == Token::Sign('('))
    };
    let at = |index: usize| tokens.get(index).unwrap_or(&none);
    let place = |word: &str| tokens.iter().position(|token| token.is(word)).unwrap_or(tokens.len());
    let declarations = place("DECLARE")..place("BEGIN");
    let names = (0..tokens.len()).filter(|index| {
        let before = if *index == 0 { &none } else { at(index - 1) };
        let after = at(index + 1);
        // `SELECT … INTO name` names a variable.
        let is_inserted = before.is("INTO") && *index > 1 && at(index - 2).is("INSERT");
        // `a IS DISTINCT FROM b` compares values.
        let is_compared = before.is("FROM") && *index > 1 && at(index - 2).is("DISTINCT");
        let is_named = is_inserted || (!is_compared && BEFORE_TABLES.iter().any(|word| before.is(word)));
        let is_table = is_named && *after != Token::Sign('.');
        let is_syntax = SYNTAX.iter().any(|word| at(*index).is(word));
        let is_call = *after == Token::Sign('(') && *before != Token::Sign('.') && !is_syntax;
        // A cast, or a variable: `name type;`, `name type := value;`.
        let is_cast = *before == Token::Sign(':') && *after != Token::Sign('.');
        let is_declared =
            declarations.contains(index) && before.name().is_some() && matches!(after, Token::Sign(';' | ':'));
        (is_table && !in_extract(tokens, *index) && !is_cte(at(*index))) || is_call || is_cast || is_declared
    });
    names.filter_map(|index| tokens[index].name()).take(NAMES).collect()
}

/// The functions that a definition of an index or an exclusion constraint calls, or the materialized view
/// that it creates, as `schema.name`.
pub(super) fn called_functions(text: &[u8]) -> Vec<String> {
    let tokens: Vec<Token> = Tokens::new(text).take(20_000).collect();
    if tokens.iter().take(5).any(|token| token.is("MATERIALIZED")) {
        return open_view(text).into_iter().map(|view| view.name).collect();
    }
    let built = tokens.iter().take(5).any(|token| token.is("INDEX"));
    let excludes =
        tokens.first().is_some_and(|token| token.is("ALTER")) && tokens.iter().any(|token| token.is("EXCLUDE"));
    if built || excludes { qualified_calls(&tokens).collect() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unqualified_names_of_a_body_are_found() {
        let text = b"CREATE FUNCTION public.cnt() RETURNS bigint LANGUAGE plpgsql STABLE\n AS $$ begin return (select count(*) from x, a.y join z on lower(z.n) = public.f(1)); end $$;";
        let function = open_function(text).expect("an open function");
        assert_eq!(function.name, "public.cnt");
        let text =
            b"CREATE FUNCTION public.d(a int, b int) RETURNS bool LANGUAGE sql AS $$ select a is distinct from b $$;";
        assert!(open_function(text).expect("an open function").unqualified.is_empty());
        let names: Vec<&str> = function.unqualified.iter().map(String::as_str).collect();
        assert_eq!(names, ["count", "lower", "return", "x", "z"], "keywords match no table");
        assert_eq!(function.calls.iter().collect::<Vec<_>>(), ["a.y", "public.f", "z.n"]);
        let text = b"CREATE FUNCTION public.g(d date) RETURNS int LANGUAGE plpgsql AS $$ declare m mood := 'a'; begin with c as (select 1) select extract(day from event)::kind from c; end $$;";
        let names = open_function(text).expect("an open function").unqualified;
        assert!(["mood", "kind"].iter().all(|name| names.contains(*name)), "{names:?}");
        assert!(!["event", "c"].iter().any(|name| names.contains(*name)), "{names:?}");
    }

    #[test]
    fn functions_with_a_search_path_or_without_a_body_are_left_alone() {
        for text in [
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SET search_path TO 'public' AS $$ select 1 from x $$;",
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE c AS 'x', 'y';",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ select 1 from x $$;",
            "CREATE TABLE public.t (x int);",
        ] {
            assert_eq!(open_function(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn calls_of_indexes_and_materialized_views_are_found() {
        let index = "CREATE INDEX i ON public.t USING btree (public.norm(name), lower(name));";
        assert_eq!(called_functions(index.as_bytes()), ["public.norm"]);
        assert_eq!(called_functions(b"CREATE VIEW v AS SELECT public.cnt() AS c;"), Vec::<String>::new());
        let built = "CREATE MATERIALIZED VIEW public.m AS SELECT v.c FROM public.v WITH NO DATA;";
        assert_eq!(called_functions(built.as_bytes()), ["public.m"]);
    }

    #[test]
    fn views_name_what_they_read() {
        let text = "CREATE VIEW public.v AS SELECT public.f(t.a) AS a FROM (s.t t JOIN s.u ON (t.id = u.id)), s.w;";
        let view = open_view(text.as_bytes()).expect("a view");
        assert!(view.is_view && view.name == "public.v" && view.unqualified.is_empty(), "{view:?}");
        assert!(["public.f", "s.t", "s.u", "s.w"].iter().all(|name| view.calls.contains(*name)), "{view:?}");
        let text = "CREATE MATERIALIZED VIEW s.words AS SELECT word FROM ts_stat('select body from docs'::text) x;";
        let view = open_view(text.as_bytes()).expect("a view");
        assert_eq!(view.unqualified.iter().collect::<Vec<_>>(), ["docs"]);
        assert_eq!(open_view(b"CREATE TABLE s.t (v int);"), None);
    }
}
