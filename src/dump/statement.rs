//! One SQL statement, understood as far as an import must.

use super::sql::Script;
use super::tokens::{LONGEST_COMMENT, Token, Tokens, first_word, hides_head};
use std::io::Cursor;

/// What an import does with a statement of a plain dump. It gets the same data as from an
/// archive restored with `--no-owner --no-privileges`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// Run as it is.
    Run,
    /// Run, unless this schema had to be made before.
    CreateSchema(String),
    /// Run, unless this schema had to be made before.
    DropSchema(String),
    /// `CREATE EXTENSION`: the administrator has created it before.
    CreateExtension(RequestedExtension),
    /// `CREATE POLICY`: these roles must exist.
    CreatePolicy(Vec<String>),
    /// Left out without loss: ownership, privileges.
    Skip,
    /// Left out: a transaction of the script begins, which is part of the import's own.
    Begin,
    /// Left out: a transaction of the script ends.
    Commit,
    /// Left out, and the person is told: an object of this kind, for this reason.
    LeaveOut(&'static str, &'static str),
    /// Rows follow as `COPY` data.
    CopyRows,
    /// Cannot be part of an import, for this reason.
    Refuse(Refusal),
}

/// Why a statement cannot be part of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of reach the statement has.
    pub scope: RefusalScope,
    /// The reason in words.
    pub reason: &'static str,
}

/// What a refused statement would reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalScope {
    /// Roles, databases, tablespaces: what belongs to the whole server.
    WholeServer,
    /// Files or programs of the server.
    ServerFiles,
    /// The import itself, or how its script is read.
    Import,
}

impl Treatment {
    /// A statement that would interfere with the import itself.
    const fn refuse(reason: &'static str) -> Self {
        Self::Refuse(Refusal { scope: RefusalScope::Import, reason })
    }

    /// A statement that would change the whole server.
    const fn refuse_whole_server(reason: &'static str) -> Self {
        Self::Refuse(Refusal { scope: RefusalScope::WholeServer, reason })
    }

    /// A statement that would reach the server's files or programs.
    const fn refuse_server_files(reason: &'static str) -> Self {
        Self::Refuse(Refusal { scope: RefusalScope::ServerFiles, reason })
    }
}

/// An extension that a dump asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedExtension {
    /// Its name.
    pub name: String,
    /// The schema that it shall live in.
    pub schema: Option<String>,
}

/// Why event triggers are left out.
pub const EVENT_TRIGGER_REASON: &str = "only a superuser can create them";
/// Why subscriptions are left out.
pub const SUBSCRIPTION_REASON: &str = "they would keep pulling data from another server";
/// Why security labels are left out.
pub const SECURITY_LABEL_REASON: &str = "their provider does not exist on the target";
/// Why a publication of everything is left out.
pub const PUBLICATION_REASON: &str = "only a superuser can publish all tables or a whole schema";

/// Why a statement that hides so is refused.
pub const HIDDEN: &str = "its first words hide behind a comment of more than 64 KiB";

/// Decides on a statement, given whole or, when it is very long, its beginning.
pub fn treat(text: &[u8]) -> Treatment {
    if text.len() > LONGEST_COMMENT && hides_head(text) {
        return Treatment::refuse(HIDDEN);
    }
    if first_word(text).eq_ignore_ascii_case(b"insert") {
        return Treatment::Run; // of these there are most
    }
    let mut head = Tokens::new(text);
    let words: Vec<Token> = head.by_ref().take(6).collect();
    let word = |place: usize| match words.get(place) {
        Some(Token::Word(word)) => word.as_str(),
        _ => "",
    };
    match (word(0), word(1), word(2)) {
        ("ALTER", ..) if changes_owner(text) => Treatment::Skip,
        ("GRANT" | "REVOKE", ..) | ("ALTER", "DEFAULT", "PRIVILEGES") => Treatment::Skip,
        // They are checked at the end of the import anyway, and so is that it is the end.
        ("SET", "CONSTRAINTS", _) => Treatment::Skip,
        ("SET" | "RESET", "ROLE", _)
        | ("SET" | "RESET", "SESSION", "AUTHORIZATION" | "ROLE")
        | ("SET", "LOCAL", "ROLE") => Treatment::Skip,
        ("BEGIN", ..) | ("START", "TRANSACTION", _) => Treatment::Begin,
        ("COMMIT" | "ROLLBACK", "PREPARED", _) => Treatment::refuse("it ends a transaction of somebody else"),
        ("COMMIT" | "END", ..) => Treatment::Commit,
        ("ROLLBACK" | "ABORT", ..) if word(1) != "TO" && word(2) != "TO" => {
            Treatment::refuse("it would roll the import back")
        }
        ("SET" | "RESET", ..) if names_strings(&words) && !sets_strings_plainly(text) => {
            Treatment::refuse("it changes how strings are read in a way that leaves doubts")
        }
        // The worker's own settings are among them.
        ("RESET", "ALL", _) => Treatment::Skip,
        ("SET", "CLIENT_ENCODING" | "NAMES", _) | ("SET", "SESSION" | "LOCAL", "CLIENT_ENCODING" | "NAMES")
            if hides_backslashes(text) =>
        {
            Treatment::refuse("in this encoding a backslash can be a part of a character; dump with --encoding=UTF8")
        }
        ("PREPARE", "TRANSACTION", _) => Treatment::refuse("it would leave a prepared transaction behind"),
        ("COMMENT", "ON", "EXTENSION" | "EVENT" | "SUBSCRIPTION" | "DATABASE") => Treatment::Skip,
        ("ALTER", "EVENT", "TRIGGER") | ("ALTER", "SUBSCRIPTION", _) => Treatment::Skip,
        ("CREATE", "EVENT", "TRIGGER") => Treatment::LeaveOut("EVENT TRIGGER", EVENT_TRIGGER_REASON),
        ("CREATE", "SUBSCRIPTION", _) => Treatment::LeaveOut("SUBSCRIPTION", SUBSCRIPTION_REASON),
        ("SECURITY", "LABEL", _) => Treatment::LeaveOut("SECURITY LABEL", SECURITY_LABEL_REASON),
        ("CREATE" | "ALTER" | "DROP", "ROLE" | "USER" | "GROUP", second) if second != "MAPPING" => {
            Treatment::refuse_whole_server(
                "it manages roles; dump one database with pg_dump, not the server with pg_dumpall",
            )
        }
        ("CREATE" | "ALTER" | "DROP", "DATABASE" | "TABLESPACE" | "SYSTEM", _) => Treatment::refuse_whole_server(
            "it manages the server; dump one database with pg_dump without -C (--create)",
        ),
        ("CREATE" | "ALTER", "PUBLICATION", _) => publication(text),
        ("DROP", "EXTENSION" | "SUBSCRIPTION", _) | ("DROP", "EVENT", "TRIGGER") => Treatment::Skip,
        ("DROP", "SCHEMA", _) => dropped_schema(&words),
        ("CREATE", "EXTENSION", _) => extension(text).map_or(Treatment::Run, Treatment::CreateExtension),
        ("CREATE", "SCHEMA", next) if next != "IF" && next != "AUTHORIZATION" => {
            // What more it makes must be made, if need be by failing.
            let alone = Tokens::new(text).skip(3).all(|token| token == Token::Sign(';'))
                || word(3) == "AUTHORIZATION" && Tokens::new(text).skip(5).all(|token| token == Token::Sign(';'));
            let name = words.get(2).and_then(Token::name).filter(|_| alone);
            name.map_or(Treatment::Run, Treatment::CreateSchema)
        }
        ("CREATE", "POLICY", _) => Treatment::CreatePolicy(policy_roles(text)),
        ("SELECT" | "DO" | "WITH" | "VALUES" | "CALL", ..) if changes_strings(text) => {
            Treatment::refuse("it changes how strings are read in the middle of the script")
        }
        ("COPY", ..) => copy(text),
        ("SET", "DEFAULT_TABLESPACE", _) if !ends_with_empty_literal(text) => Treatment::Skip,
        _ => Treatment::Run,
    }
}

/// Whether a statement is a `COPY`.
pub fn is_copy(text: &str) -> bool {
    first_word(text.as_bytes()).eq_ignore_ascii_case(b"copy")
}

/// How many statements a text has. Empty ones do not count.
pub fn count_statements(text: &str) -> usize {
    let mut script = Script::new(Cursor::new(text.as_bytes().to_vec()));
    let mut count = 0;
    while let Ok(Some(piece)) = script.next_piece() {
        count += usize::from(piece.kind.starts_statement() && !first_word(piece.bytes).is_empty());
    }
    count
}

/// What a statement that nobody has given a heading is about, in the words of pg_dump where
/// it is about rows or tables.
pub fn rough_kind(text: &[u8]) -> &'static str {
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

/// Whether a statement builds an index, for itself or for a key.
pub fn builds_index(text: &[u8]) -> bool {
    let first = first_word(text);
    if first.eq_ignore_ascii_case(b"create") {
        return Tokens::new(text).skip(1).find(|token| !token.is("UNIQUE")).is_some_and(|token| token.is("INDEX"));
    }
    first.eq_ignore_ascii_case(b"alter")
        && Tokens::new(text).take(16).any(|token| token.is("PRIMARY") || token.is("UNIQUE"))
}

/// `DROP SCHEMA [IF EXISTS] name`
fn dropped_schema(words: &[Token]) -> Treatment {
    let name = words.iter().skip(2).find(|token| !token.is("IF") && !token.is("EXISTS")).and_then(Token::name);
    name.map_or(Treatment::Run, Treatment::DropSchema)
}

fn names_strings(words: &[Token]) -> bool {
    words.iter().take(3).any(|token| token.is("STANDARD_CONFORMING_STRINGS"))
}

/// `set_config('standard_conforming_strings', …)` and the like, by which a string could end
/// elsewhere for Postgres than for us.
fn changes_strings(text: &[u8]) -> bool {
    const NAMES: [&[u8]; 2] = [b"standard_conforming_strings", b"client_encoding"];
    NAMES.iter().any(|name| text.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name)))
}

/// `ALTER kind name OWNER TO role`, and nothing more. `RENAME owner TO name` ends alike, and so
/// does what follows on another change of the same object.
fn changes_owner(text: &[u8]) -> bool {
    let tokens: Vec<Token> = Tokens::new(text).filter(|token| *token != Token::Sign(';')).collect();
    let [.., before, last, owner, to, _role] = tokens.as_slice() else { return false };
    if !owner.is("OWNER") || !to.is("TO") {
        return false;
    }
    let is_name = *before == Token::Sign('.') || KINDS.iter().any(|kind| before.is(kind));
    let renames =
        if last.is("RENAME") { !is_name } else { before.is("RENAME") && PARTS.iter().any(|part| last.is(part)) };
    let mut depth = 0_u32;
    let several = tokens.iter().any(|token| {
        depth += u32::from(*token == Token::Sign('('));
        let outside = depth == 0;
        depth = depth.saturating_sub(u32::from(*token == Token::Sign(')')));
        outside && *token == Token::Sign(',')
    });
    !renames && !several && !last.is("ON")
}

/// Words that may stand between `RENAME` and the old name.
const PARTS: [&str; 4] = ["COLUMN", "CONSTRAINT", "ATTRIBUTE", "VALUE"];
/// Words before which stands `ALTER`, and behind which a name.
const KINDS: [&str; 8] = ["TABLE", "VIEW", "SEQUENCE", "INDEX", "TYPE", "DOMAIN", "SCHEMA", "ONLY"];

/// Whether a client encoding has characters whose last byte is a backslash for everybody else
/// (Postgres, "Supported Character Sets": those that a server cannot have).
pub(super) fn hides_backslashes(text: &[u8]) -> bool {
    const NAMES: [&[u8]; 8] = [b"big5", b"gb18030", b"gbk", b"johab", b"sjis", b"shift_jis", b"uhc", b"win9"];
    let text = text.to_ascii_lowercase();
    NAMES.iter().any(|name| memchr::memmem::find(&text, name).is_some())
}

/// Whether a statement sets how strings are read in a spelling that leaves no doubt.
fn sets_strings_plainly(text: &[u8]) -> bool {
    let words: Vec<Token> = Tokens::new(text).collect();
    let [set, name, equals, value, Token::Sign(';')] = words.as_slice() else { return false };
    let value = match value {
        Token::Word(word) => word == "ON" || word == "OFF",
        Token::Literal => [b"= 'on';".as_slice(), b"= 'off';"].iter().any(|end| text.ends_with(end)),
        _ => false,
    };
    // A comment could stand between, and be read otherwise.
    let plain = memchr::memmem::find(text, b"/*").is_none() && memchr::memmem::find(text, b"--").is_none();
    set.is("SET") && name.is("STANDARD_CONFORMING_STRINGS") && *equals == Token::Sign('=') && value && plain
}

fn ends_with_empty_literal(text: &[u8]) -> bool {
    let end = text.trim_ascii_end().strip_suffix(b";").unwrap_or(text).trim_ascii_end();
    end.ends_with(b"''")
}

fn publication(text: &[u8]) -> Treatment {
    let tokens: Vec<Token> = Tokens::new(text).collect();
    let whole = tokens
        .windows(2)
        .any(|pair| (pair[0].is("ALL") && pair[1].is("TABLES")) || (pair[0].is("TABLES") && pair[1].is("IN")));
    if whole { Treatment::LeaveOut("PUBLICATION", PUBLICATION_REASON) } else { Treatment::Run }
}

/// `CREATE EXTENSION [IF NOT EXISTS] name [WITH] [SCHEMA schema] …`
pub fn extension(text: &[u8]) -> Option<RequestedExtension> {
    let mut tokens =
        Tokens::new(text).skip(2).skip_while(|token| token.is("IF") || token.is("NOT") || token.is("EXISTS"));
    let name = tokens.next()?.name()?;
    let schema = tokens.find(|token| token.is("SCHEMA")).and_then(|_| tokens.next()?.name());
    Some(RequestedExtension { name, schema })
}

/// The roles of `CREATE POLICY … TO role, …`, without the ones that are words of SQL.
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

fn copy(text: &[u8]) -> Treatment {
    let mut depth = 0_u32;
    let mut tokens = Tokens::new(text).filter(move |token| {
        depth += u32::from(*token == Token::Sign('('));
        let inside = depth > 0;
        depth = depth.saturating_sub(u32::from(*token == Token::Sign(')')));
        !inside
    });
    if Tokens::new(text).any(|token| token.is("BINARY")) || binary_literal(text) {
        return Treatment::refuse("rows in binary format do not show where they end");
    }
    let Some(direction) = tokens.find(|token| token.is("FROM") || token.is("TO")) else { return Treatment::Run };
    match tokens.next() {
        Some(token) if token.is("STDIN") && direction.is("FROM") => Treatment::CopyRows,
        Some(token) if token.is("STDOUT") => Treatment::refuse("COPY … TO reads data, it does not bring any"),
        Some(token) if token.is("PROGRAM") => {
            Treatment::refuse_server_files("COPY … PROGRAM runs a program on the server")
        }
        _ => Treatment::refuse_server_files("COPY with a file name reads or writes a file of the server"),
    }
}

/// `(format 'binary')`
fn binary_literal(text: &[u8]) -> bool {
    const WORD: &[u8] = b"'binary'";
    text.windows(WORD.len()).any(|part| part.eq_ignore_ascii_case(WORD))
}

/// Whether a text begins as SQL for psql does, after comments.
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
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    match Tokens::new(start).next() {
        None => true, // only comments so far
        Some(Token::Word(word)) => FIRST_WORDS.contains(&word.as_str()),
        Some(Token::Sign('\\' | ';' | '(')) => true,
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests;
