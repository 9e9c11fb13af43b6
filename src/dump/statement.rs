//! Reads names and kinds from SQL statements.

use super::lexer::{End, StatementLexer};
use super::sql::{Script, without_messages};
pub use super::tokens::first_word;
use super::tokens::{Token, Tokens};
use super::treatment::RequestedExtension;
use std::io::Cursor;

/// Whether a statement creates a constraint that can be deferred, or defers constraints.
pub fn defers_constraints(text: &[u8]) -> bool {
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
    const BEFORE: [&str; 32] = [
        "CREATE",
        "DROP",
        "ALTER",
        "OR",
        "REPLACE",
        "GLOBAL",
        "LOCAL",
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

/// The statements of a short text with standard strings, without their semicolons.
pub fn statements(text: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let end = StatementLexer::default().advance(rest.as_bytes(), false, true);
        let (statement, after) = rest.split_at(end.map_or(rest.len(), End::length));
        found.push(statement.trim().trim_end_matches(';'));
        rest = after;
    }
    found.retain(|statement| !statement.is_empty());
    found
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

/// The roles of `GRANT … ON … TO role, …` of an object in a schema, or a schema; `None` for all other
/// statements.
pub fn granted_roles(text: &[u8]) -> Option<Vec<String>> {
    let tokens: Vec<Token> = Tokens::new(text).take(20_000).collect();
    let on = tokens.iter().position(|token| token.is("ON"))?;
    // Of a server or a database, which belong to more than a project's data.
    let is_wider = ["DATABASE", "FOREIGN", "LANGUAGE", "PARAMETER", "TABLESPACE"];
    let is_grant = tokens.first()?.is("GRANT")
        && !is_wider.iter().any(|kind| tokens[on + 1..].first().is_some_and(|token| token.is(kind)));
    let to = tokens.iter().rposition(|token| token.is("TO")).filter(|_| is_grant)?;
    Some(role_list(&tokens[to + 1..]))
}

/// The roles of a list, up to a word that ends it.
pub(super) fn role_list(tokens: &[Token]) -> Vec<String> {
    let ends = |token: &&Token| !["WITH", "GRANTED", "CASCADE", "RESTRICT"].iter().any(|word| token.is(word));
    let ordinary =
        |token: &&Token| !["PUBLIC", "GROUP", "CURRENT_USER", "SESSION_USER"].iter().any(|word| token.is(word));
    tokens.iter().take_while(ends).filter(ordinary).filter_map(Token::name).collect()
}

/// The first words of the commands that dumps and scripts begin with.
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

/// Whether a statement begins with a word that no command of Postgres begins with (SQL Commands).
pub fn is_not_sql(text: &[u8]) -> bool {
    const FURTHER_WORDS: [&str; 16] = [
        "ABORT",
        "ANALYSE",
        "CHECKPOINT",
        "CLOSE",
        "DEALLOCATE",
        "FETCH",
        "IMPORT",
        "LOAD",
        "MOVE",
        "NOTIFY",
        "REASSIGN",
        "RELEASE",
        "ROLLBACK",
        "SECURITY",
        "TABLE",
        "UNLISTEN",
    ];
    match Tokens::new(text).next() {
        Some(Token::Word(word)) => !FIRST_WORDS.contains(&word.as_str()) && !FURTHER_WORDS.contains(&word.as_str()),
        Some(Token::Quoted(_) | Token::Literal) => true,
        _ => false,
    }
}

/// Whether a text begins like SQL for psql, after comments.
pub fn starts_like_sql(start: &[u8]) -> bool {
    match Tokens::new(without_messages(start)).next() {
        None => true, // only comments so far
        Some(Token::Word(word)) => FIRST_WORDS.contains(&word.as_str()),
        Some(Token::Sign('\\' | ';' | '(')) => true,
        Some(_) => false,
    }
}

/// Whether a statement is one that `pg_dump --clean` writes to be able to drop objects: a view without its
/// tables, or the removal of a large object. In a new database there is nothing to drop.
pub fn belongs_to_clean(text: &[u8]) -> bool {
    let tokens: Vec<Token> = Tokens::new(text).take(64).collect();
    if tokens.first().is_some_and(|token| token.is("SELECT")) {
        return tokens.iter().take(4).any(|token| token.is("LO_UNLINK"));
    }
    let starts = ["CREATE", "OR", "REPLACE", "VIEW"];
    let select = tokens.iter().position(|token| token.is("SELECT")).unwrap_or(tokens.len());
    starts.iter().zip(&tokens).all(|(word, token)| token.is(word))
        && tokens
            .get(select + 1..select + 4)
            .is_some_and(|next| next[0].is("NULL") && next[1] == Token::Sign(':') && next[2] == Token::Sign(':'))
}

/// What happens to a temporary table at each commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitAction {
    /// `ON COMMIT DROP`
    Drop,
    /// `ON COMMIT DELETE ROWS`
    DeleteRows,
}

/// The action of a `CREATE TABLE … ON COMMIT`.
pub fn action_on_commit(text: &[u8]) -> Option<CommitAction> {
    if !first_word(text).eq_ignore_ascii_case(b"create") {
        return None;
    }
    let tokens: Vec<Token> = Tokens::new(text).take(20_000).collect();
    let three = tokens.windows(3).find(|three| three[0].is("ON") && three[1].is("COMMIT"))?;
    match &three[2] {
        token if token.is("DROP") => Some(CommitAction::Drop),
        token if token.is("DELETE") => Some(CommitAction::DeleteRows),
        _ => None,
    }
}

/// The name in `SET [SESSION|LOCAL] client_encoding = 'name'` and `SET NAMES 'name'`; UTF8 for `RESET`, which
/// sets the encoding of the import's session; `None` for other
/// statements.
pub fn client_encoding(text: &[u8]) -> Option<String> {
    let mut tokens = Tokens::new(text);
    if resets_all(text) || tokens.next()?.is("RESET") && tokens.next()?.is("CLIENT_ENCODING") {
        return Some("UTF8".to_owned());
    }
    let mut tokens = Tokens::new(text);
    let mut setting = tokens.by_ref().skip(1).skip_while(|token| token.is("SESSION") || token.is("LOCAL"));
    if !setting.next().is_some_and(|token| token.is("CLIENT_ENCODING") || token.is("NAMES")) {
        return None;
    }
    let (token, raw, _) = std::iter::from_fn(|| tokens.next_with_text())
        .find(|(token, ..)| *token != Token::Sign('=') && !token.is("TO"))?;
    let name = if token == Token::Literal { String::from_utf8_lossy(raw).into_owned() } else { token.name()? };
    Some(name.trim_matches('\'').to_owned())
}

/// Whether a statement resets all settings: `RESET ALL`, `DISCARD ALL`.
pub(super) fn resets_all(text: &[u8]) -> bool {
    let first = first_word(text);
    (first.eq_ignore_ascii_case(b"reset") || first.eq_ignore_ascii_case(b"discard"))
        && Tokens::new(text).nth(1).is_some_and(|token| token.is("ALL"))
}

/// The first words of a statement, for a report. Literals, values, options and setting values are
/// omitted: they may hold secrets or row data.
pub(super) fn beginning(text: &[u8]) -> String {
    const LAST_WORDS: [&str; 4] = ["PASSWORD", "OPTIONS", "VALUES", "CONNECTION"];
    let sets = ["SET", "RESET"].iter().any(|word| first_word(text).eq_ignore_ascii_case(word.as_bytes()));
    let mut shown = String::new();
    let mut tokens = Tokens::new(&text[..text.len().min(2000)]);
    while let Some((token, raw, space)) = tokens.next_with_text() {
        let last = LAST_WORDS.iter().any(|word| token.is(word)) || (sets && token == Token::Sign('='));
        if space && !shown.is_empty() {
            shown.push(' ');
        }
        shown.push_str(if token == Token::Literal { "'…'" } else { std::str::from_utf8(raw).unwrap_or("…") });
        if last || shown.len() > 200 {
            shown.push_str(" …");
            break;
        }
    }
    shown
}

/// A schema and a name; the schema is empty if the name is unqualified.
pub(super) fn qualified(tokens: &[Token]) -> (String, String) {
    let mut tokens =
        tokens.iter().skip_while(|token| token.is("IF") || token.is("NOT") || token.is("EXISTS") || token.is("ONLY"));
    let first = tokens.next().and_then(Token::name).unwrap_or_default();
    match (tokens.next(), tokens.next()) {
        (Some(Token::Sign('.')), Some(name)) => (first, name.name().unwrap_or_default()),
        _ => (String::new(), first),
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
    }
}
