//! The few statements that an import changes before it runs them.

use super::lexer::split_inserts;
use super::tokens::{Token, Tokens, first_word};
use std::ops::Range;

/// A statement without the word `CONCURRENTLY`.
pub fn without_concurrently(text: &[u8]) -> Vec<u8> {
    let mut changed = text.to_vec();
    if let Some((_, place)) = words(text).into_iter().find(|(token, _)| token.is("CONCURRENTLY")) {
        changed[place].fill(b' ');
    }
    changed
}

/// Whether a statement creates a `GENERATED ALWAYS` identity column.
pub fn creates_identity(text: &[u8]) -> bool {
    let first = first_word(text);
    let may = first.eq_ignore_ascii_case(b"create") || first.eq_ignore_ascii_case(b"alter");
    let words = [("GENERATED", "ALWAYS"), ("AS", "IDENTITY")];
    may && Tokens::new(text)
        .collect::<Vec<_>>()
        .windows(4)
        .any(|four| four.chunks(2).zip(words).all(|(pair, (first, second))| pair[0].is(first) && pair[1].is(second)))
}

/// `INSERT`s in a row, changed to set the values of `GENERATED ALWAYS` identity columns. They have the
/// same effect on other tables.
pub fn with_identity_values(inserts: &[u8]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(inserts.len() + 1024);
    for statement in split_inserts(inserts) {
        let at = place_of_overriding(statement).unwrap_or(statement.len());
        changed.extend_from_slice(&statement[..at]);
        if at < statement.len() {
            changed.extend_from_slice(b"OVERRIDING SYSTEM VALUE ");
        }
        changed.extend_from_slice(&statement[at..]);
    }
    changed
}

/// Where `OVERRIDING SYSTEM VALUE` belongs: before the rows or the query of an `INSERT` that has none.
fn place_of_overriding(insert: &[u8]) -> Option<usize> {
    let words = words(insert);
    let is = |at: usize, word: &str| words.get(at).is_some_and(|(token, _)| token.is(word));
    if !is(0, "INSERT") || !is(1, "INTO") {
        return None;
    }
    let begins_query = |at: usize| ["VALUES", "SELECT", "WITH", "TABLE"].iter().any(|word| is(at, word));
    let sign = |at: usize, sign: char| words.get(at).is_some_and(|(token, _)| *token == Token::Sign(sign));
    let mut at = 2;
    while at < words.len() && !begins_query(at) {
        if sign(at, '(') && (begins_query(at + 1) || sign(at + 1, '(')) {
            break;
        }
        if is(at, "OVERRIDING") || is(at, "DEFAULT") {
            return None;
        }
        at += 1;
    }
    words.get(at).map(|(_, place)| place.start)
}

/// A `DROP`, or an `ALTER` that drops a part, which ignores that the object is missing.
pub fn with_if_exists(text: &[u8]) -> Vec<u8> {
    const FIRST_OF_TWO: [&str; 8] =
        ["MATERIALIZED", "FOREIGN", "EVENT", "ACCESS", "OPERATOR", "USER", "PROCEDURAL", "TRUSTED"];
    let words = words(text);
    let is = |at: usize, word: &str| words.get(at).is_some_and(|(token, _)| token.is(word));
    let mut places = Vec::new();
    let mut insert_before = |at: usize| {
        if let Some((_, place)) = words.get(at).filter(|_| !is(at, "IF")) {
            places.push(place.start);
        }
    };
    if is(0, "DROP") {
        let mut at = 2;
        at += usize::from(
            FIRST_OF_TWO.iter().any(|word| is(1, word)) && !(is(1, "OPERATOR") && !is(2, "CLASS") && !is(2, "FAMILY")),
        );
        at += usize::from(is(1, "FOREIGN") && is(2, "DATA"));
        at += 2 * usize::from(is(1, "TEXT") && is(2, "SEARCH"));
        insert_before(at);
    } else {
        if is(1, "TABLE") {
            insert_before(2);
        }
        for at in 0..words.len() {
            if is(at, "DROP") && (is(at + 1, "CONSTRAINT") || is(at + 1, "COLUMN")) {
                insert_before(at + 2);
            }
        }
    }
    let (mut changed, mut copied) = (Vec::with_capacity(text.len() + 40), 0);
    for place in places {
        changed.extend_from_slice(&text[copied..place]);
        changed.extend_from_slice(b"IF EXISTS ");
        copied = place;
    }
    changed.extend_from_slice(&text[copied..]);
    changed
}

/// A `CREATE` without the tablespace, which only the server of the dump has.
pub fn without_tablespace(text: &[u8]) -> Option<Vec<u8>> {
    let words = words(text);
    let mut depth = 0_u32;
    let mut changed: Option<Vec<u8>> = None;
    for (at, (token, place)) in words.iter().enumerate() {
        depth += u32::from(*token == Token::Sign('('));
        depth = depth.saturating_sub(u32::from(*token == Token::Sign(')')));
        let named = words.get(at + 1).filter(|(name, _)| depth == 0 && token.is("TABLESPACE") && name.name().is_some());
        if let Some((_, name)) = named {
            changed.get_or_insert_with(|| text.to_vec())[place.start..name.end].fill(b' ');
        }
    }
    changed
}

/// A `CREATE SCHEMA name` without the owner, who may be missing.
pub fn without_authorization(text: &[u8]) -> Vec<u8> {
    let mut changed = text.to_vec();
    let words = words(text);
    if let Some(at) = words.iter().position(|(token, _)| token.is("AUTHORIZATION")) {
        for (_, place) in words.iter().skip(at).take(2) {
            changed[place.clone()].fill(b' ');
        }
    }
    changed
}

/// The tokens of a statement with their places.
fn words(text: &[u8]) -> Vec<(Token, Range<usize>)> {
    let mut tokens = Tokens::new(text);
    let mut words = Vec::new();
    while let Some((token, raw, _)) = tokens.next_with_text() {
        let start = raw.as_ptr().addr() - text.as_ptr().addr();
        words.push((token, start..start + raw.len()));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrently_is_removed() {
        let text = without_concurrently(b"CREATE INDEX CONCURRENTLY \"concurrently\" ON t (x);");
        assert_eq!(text, b"CREATE INDEX              \"concurrently\" ON t (x);");
    }

    #[test]
    fn inserts_set_identity_values() {
        let changed = |text: &str| String::from_utf8(with_identity_values(text.as_bytes())).expect("UTF-8");
        assert_eq!(
            changed("INSERT INTO public.t (id, \"values\") VALUES (1, 'values');\nINSERT INTO t VALUES (2, ';');\n"),
            "INSERT INTO public.t (id, \"values\") OVERRIDING SYSTEM VALUE VALUES (1, 'values');\n\
             INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (2, ';');\n"
        );
        assert_eq!(
            changed("insert into t as x (a) select 1;"),
            "insert into t as x (a) OVERRIDING SYSTEM VALUE select 1;"
        );
        assert_eq!(changed("INSERT INTO t (SELECT 1);"), "INSERT INTO t OVERRIDING SYSTEM VALUE (SELECT 1);");
        for text in ["INSERT INTO t DEFAULT VALUES;", "INSERT INTO t OVERRIDING USER VALUE VALUES (1);"] {
            assert_eq!(changed(text), text);
        }
        assert!(creates_identity(b"CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY);"));
        assert!(!creates_identity(b"CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY);"));
        assert!(!creates_identity(b"CREATE TABLE t (a int GENERATED ALWAYS AS (b + 1) STORED);"));
    }

    #[test]
    fn drops_ignore_missing_objects() {
        let changed = |text: &str| String::from_utf8(with_if_exists(text.as_bytes())).expect("UTF-8");
        for (text, expected) in [
            ("DROP TABLE public.t, u CASCADE;", "DROP TABLE IF EXISTS public.t, u CASCADE;"),
            ("DROP MATERIALIZED VIEW v;", "DROP MATERIALIZED VIEW IF EXISTS v;"),
            ("DROP TEXT SEARCH CONFIGURATION c;", "DROP TEXT SEARCH CONFIGURATION IF EXISTS c;"),
            ("DROP OPERATOR public.+ (int, int);", "DROP OPERATOR IF EXISTS public.+ (int, int);"),
            ("DROP OPERATOR CLASS c USING btree;", "DROP OPERATOR CLASS IF EXISTS c USING btree;"),
            ("DROP FOREIGN DATA WRAPPER w;", "DROP FOREIGN DATA WRAPPER IF EXISTS w;"),
            ("DROP CAST (a AS b);", "DROP CAST IF EXISTS (a AS b);"),
            ("DROP VIEW IF EXISTS v;", "DROP VIEW IF EXISTS v;"),
            (
                "ALTER TABLE ONLY public.t DROP CONSTRAINT k, DROP COLUMN IF EXISTS c;",
                "ALTER TABLE IF EXISTS ONLY public.t DROP CONSTRAINT IF EXISTS k, DROP COLUMN IF EXISTS c;",
            ),
            ("ALTER DOMAIN d DROP CONSTRAINT k;", "ALTER DOMAIN d DROP CONSTRAINT IF EXISTS k;"),
        ] {
            assert_eq!(changed(text), expected);
        }
    }

    #[test]
    fn tablespaces_are_removed() {
        let text = b"CREATE TABLE t (tablespace int) WITH (fillfactor=70) TABLESPACE \"fast\";";
        let changed = without_tablespace(text).expect("a tablespace");
        assert_eq!(changed, b"CREATE TABLE t (tablespace int) WITH (fillfactor=70)                  ;");
        assert_eq!(without_tablespace(b"CREATE TABLE tablespace (x int);"), None);
    }

    #[test]
    fn the_owner_of_a_schema_is_removed() {
        let text = without_authorization(b"CREATE SCHEMA app AUTHORIZATION bob;");
        assert_eq!(text, b"CREATE SCHEMA app                  ;");
    }
}
