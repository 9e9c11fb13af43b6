//! Classifies a SQL statement for an import.

use super::encoding::{Encoding, hides_backslashes};
use super::sql::client_encoding;
use super::statement::{extension, policy_roles};
use super::tokens::{MAX_COMMENT, Token, Tokens, first_word, has_oversized_comment};

/// What an import does with a statement of a plain dump. The result is the same as for an archive
/// restored with `--no-owner --no-privileges`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// Run unchanged.
    Run,
    /// Run, unless the import has already created this schema.
    CreateSchema(String),
    /// Run, unless the import has already created this schema.
    DropSchema(String),
    /// `CREATE EXTENSION`: skipped, because the administrator has already created it.
    CreateExtension(RequestedExtension),
    /// `CREATE POLICY`: run; these roles must exist.
    CreatePolicy(Vec<String>),
    /// Skipped silently: ownership, privileges.
    Skip,
    /// Skipped: begins a transaction of the script, which runs inside the import's transaction.
    Begin,
    /// Skipped: ends a transaction of the script.
    Commit,
    /// Skipped and reported: an object of this kind, for this reason.
    SkipAndReport(&'static str, &'static str),
    /// Creates, changes or drops a role: skipped and reported, because roles belong to the server.
    Role,
    /// `SET session_replication_role`: run, if the import grants the right to it.
    ReplicationRole,
    /// `ALTER TABLE … FORCE ROW LEVEL SECURITY`: run at the end, because the owner could not load rows
    /// after it.
    ForceRowSecurity,
    /// `RESET ALL`: resets only the settings that a dump depends on.
    ResetAll,
    /// Creates or changes the database itself: skipped, because the target database exists.
    Database,
    /// `ALTER PUBLICATION`: run if the dump has created this publication, otherwise skipped.
    AlterPublication(String),
    /// Drops objects: skipped while a new database is still empty, otherwise run.
    Drop,
    /// Run without the word `CONCURRENTLY`, which is not allowed in a transaction.
    RunWithoutConcurrently,
    /// Rows follow as `COPY` data.
    CopyRows,
    /// Refused: it cannot be part of an import.
    Refuse(Refusal),
}

/// Why a statement cannot be part of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What the statement would affect.
    pub scope: RefusalScope,
    /// The reason, for messages.
    pub reason: &'static str,
}

/// What a refused statement would affect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalScope {
    /// Roles, databases, tablespaces or settings of the whole server.
    WholeServer,
    /// Files or programs on the server.
    ServerFiles,
    /// The import itself, or the parsing of its script.
    Import,
}

impl Treatment {
    /// Refuses a statement that would interfere with the import.
    const fn refuse(reason: &'static str) -> Self {
        Self::Refuse(Refusal { scope: RefusalScope::Import, reason })
    }

    /// Refuses a statement that would change the whole server.
    const fn refuse_whole_server(reason: &'static str) -> Self {
        Self::Refuse(Refusal { scope: RefusalScope::WholeServer, reason })
    }

    /// Refuses a statement that would access files or programs on the server.
    const fn refuse_server_files(reason: &'static str) -> Self {
        Self::Refuse(Refusal { scope: RefusalScope::ServerFiles, reason })
    }
}

/// An extension that a dump creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedExtension {
    /// Its name.
    pub name: String,
    /// The schema to create it in.
    pub schema: Option<String>,
}

/// Why event triggers are skipped.
pub const EVENT_TRIGGER_REASON: &str = "only a superuser can create them";
/// Why subscriptions are skipped.
pub const SUBSCRIPTION_REASON: &str = "they would keep replicating from another server";
/// Why security labels are skipped.
pub const SECURITY_LABEL_REASON: &str = "the label provider does not exist on the target";
/// Why publications of all tables or a schema are skipped.
pub const PUBLICATION_REASON: &str = "only a superuser can publish all tables or a whole schema";

/// Why a publication that the dump does not create is not changed.
pub const MISSING_PUBLICATION_REASON: &str = "the dump does not create the publication";
/// Why the database's own definition and settings are skipped.
pub const DATABASE_REASON: &str = "the target database keeps its name and settings";
/// Reason to refuse a script that creates several databases.
pub const SEVERAL_DATABASES: &str = "the script creates several databases; dump one database with pg_dump";
/// Why roles are skipped.
pub const ROLE_REASON: &str = "roles belong to the server, not to a database";
/// Why `SET TRANSACTION` is skipped.
const TRANSACTION_REASON: &str = "the import runs in transactions of its own";
/// Why maintenance commands are skipped.
const MAINTENANCE_REASON: &str = "a new database does not need it";
/// Why planner statistics of pg_dump 18 are skipped.
pub const STATISTICS_REASON: &str = "the target computes its own planner statistics";
/// Why changes of extensions are skipped.
const EXTENSION_REASON: &str = "the target's version of the extension is used";

/// Reason to refuse a statement that cannot be classified by its start.
pub const OVERSIZED_COMMENT: &str = "a comment over 64 KiB hides the statement's first words";

/// Classifies a statement; of a very long one, `text` is only the start.
pub fn treat(text: &[u8]) -> Treatment {
    if text.len() > MAX_COMMENT && has_oversized_comment(text) {
        return Treatment::refuse(OVERSIZED_COMMENT);
    }
    if first_word(text).eq_ignore_ascii_case(b"insert") {
        return Treatment::Run; // fast path for the most frequent statement
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
        // Deferred constraints are checked when the transaction ends, and earlier is not needed.
        ("SET", "CONSTRAINTS", _) if words.iter().any(|token| token.is("IMMEDIATE")) => Treatment::Skip,
        ("SET", "CONSTRAINTS", _) => Treatment::Run,
        ("SET", "TRANSACTION", _) | ("SET", "SESSION", "CHARACTERISTICS") => {
            Treatment::SkipAndReport("SET TRANSACTION", TRANSACTION_REASON)
        }
        ("SET" | "RESET", "ROLE", _)
        | ("SET" | "RESET", "SESSION", "AUTHORIZATION" | "ROLE")
        | ("SET", "LOCAL", "ROLE") => Treatment::Skip,
        ("BEGIN", ..) | ("START", "TRANSACTION", _) => Treatment::Begin,
        ("COMMIT" | "ROLLBACK", "PREPARED", _) => Treatment::refuse("the statement ends a prepared transaction"),
        ("COMMIT" | "END", ..) => Treatment::Commit,
        ("ROLLBACK" | "ABORT", ..) if word(1) != "TO" && word(2) != "TO" => {
            Treatment::refuse("the statement would roll back the import")
        }
        ("SET" | "RESET", ..) if names_conforming_strings(&words) && !sets_conforming_strings_literally(text) => {
            Treatment::refuse("standard_conforming_strings is set in an unsupported way")
        }
        ("RESET", "ALL", _) => Treatment::ResetAll,
        ("SET", "LOCAL", "SESSION_REPLICATION_ROLE") => {
            Treatment::refuse("SET LOCAL session_replication_role is not supported; remove the word LOCAL")
        }
        ("SET" | "RESET", "SESSION_REPLICATION_ROLE", _) | ("SET", "SESSION", "SESSION_REPLICATION_ROLE") => {
            Treatment::ReplicationRole
        }
        ("SET", "CLIENT_ENCODING" | "NAMES", _) | ("SET", "SESSION" | "LOCAL", "CLIENT_ENCODING" | "NAMES") => {
            sets_client_encoding(text)
        }
        ("PREPARE", "TRANSACTION", _) => Treatment::refuse("the statement would prepare a transaction"),
        ("COMMENT", "ON", "EXTENSION" | "EVENT" | "SUBSCRIPTION" | "DATABASE") => Treatment::Skip,
        ("ALTER", "EVENT", "TRIGGER") | ("ALTER", "SUBSCRIPTION", _) => Treatment::Skip,
        ("CREATE", "EVENT", "TRIGGER") => Treatment::SkipAndReport("EVENT TRIGGER", EVENT_TRIGGER_REASON),
        ("CREATE", "SUBSCRIPTION", _) => Treatment::SkipAndReport("SUBSCRIPTION", SUBSCRIPTION_REASON),
        ("SECURITY", "LABEL", _) => Treatment::SkipAndReport("SECURITY LABEL", SECURITY_LABEL_REASON),
        ("CREATE" | "ALTER" | "DROP", "ROLE" | "USER" | "GROUP", second) if second != "MAPPING" => Treatment::Role,
        ("CREATE" | "ALTER" | "DROP", "DATABASE", _) if word(3) != "RENAME" => Treatment::Database,
        ("CREATE" | "ALTER" | "DROP", "DATABASE" | "TABLESPACE" | "SYSTEM", _) => {
            Treatment::refuse_whole_server("the statement changes the server; dump one database with pg_dump")
        }
        ("CREATE", "PUBLICATION", _) => publication(text),
        ("ALTER", "PUBLICATION", _) => match (publication(text), words.get(2).and_then(Token::name)) {
            (Treatment::Run, Some(name)) => Treatment::AlterPublication(name),
            (treatment, _) => treatment,
        },
        ("CREATE" | "DROP", "INDEX", "CONCURRENTLY") => Treatment::RunWithoutConcurrently,
        ("CREATE", "UNIQUE", "INDEX") if word(3) == "CONCURRENTLY" => Treatment::RunWithoutConcurrently,
        ("DROP", "EXTENSION" | "SUBSCRIPTION", _) | ("DROP", "EVENT", "TRIGGER") => Treatment::Skip,
        ("VACUUM" | "REINDEX" | "CHECKPOINT" | "CLUSTER", ..) => {
            Treatment::SkipAndReport("MAINTENANCE", MAINTENANCE_REASON)
        }
        ("SELECT", ..) if restores_statistics(text) => Treatment::SkipAndReport("STATISTICS DATA", STATISTICS_REASON),
        ("ALTER", "EXTENSION", _) => Treatment::SkipAndReport("ALTER EXTENSION", EXTENSION_REASON),
        ("CREATE" | "ALTER" | "DROP" | "COMMENT", ..) if concerns_plpgsql(&words) => Treatment::Skip,
        ("DROP", "SCHEMA", _) => dropped_schema(&words),
        ("CREATE", "EXTENSION", _) => extension(text).map_or(Treatment::Run, Treatment::CreateExtension),
        ("CREATE", "SCHEMA", next) if next != "IF" && next != "AUTHORIZATION" => {
            // A statement that creates more objects must run, even if it fails.
            let alone = Tokens::new(text).skip(3).all(|token| token == Token::Sign(';'))
                || word(3) == "AUTHORIZATION" && Tokens::new(text).skip(5).all(|token| token == Token::Sign(';'));
            let name = words.get(2).and_then(Token::name).filter(|_| alone);
            name.map_or(Treatment::Run, Treatment::CreateSchema)
        }
        ("CREATE", "POLICY", _) => Treatment::CreatePolicy(policy_roles(text)),
        ("SELECT" | "DO" | "WITH" | "VALUES" | "CALL", ..) if changes_conforming_strings(text) => {
            Treatment::refuse("the statement changes how strings are parsed")
        }
        ("COPY", ..) => copy(text),
        ("DROP", ..) => Treatment::Drop,
        ("ALTER", "TABLE", _) if forces_row_security(text) => Treatment::ForceRowSecurity,
        ("ALTER", ..) if drops_part(text) => Treatment::Drop,
        ("SET", "DEFAULT_TABLESPACE", _) if !ends_with_empty_literal(text) => Treatment::Skip,
        _ => Treatment::Run,
    }
}

/// `SET client_encoding`. Text of a `SQL_ASCII` dump must be UTF-8, which the server checks only if the
/// client declares UTF-8.
fn sets_client_encoding(text: &[u8]) -> Treatment {
    if hides_backslashes(text) {
        return Treatment::refuse("the client encoding is unsafe; dump with --encoding=UTF8");
    }
    match client_encoding(text) {
        Some(name) if Encoding::parse(&name) == Encoding::SqlAscii => Treatment::Skip,
        Some(_) => Treatment::Run,
        None => Treatment::refuse("client_encoding is set in an unsupported way"),
    }
}

/// Whether a statement only forces row security on a table with a schema: without one, the end of the
/// script may find another table.
fn forces_row_security(text: &[u8]) -> bool {
    let tokens: Vec<Token> = Tokens::new(text).skip(2).skip_while(|token| token.is("ONLY")).collect();
    let [_, Token::Sign('.'), _, force, row, level, security, Token::Sign(';')] = tokens.as_slice() else {
        return false;
    };
    force.is("FORCE") && row.is("ROW") && level.is("LEVEL") && security.is("SECURITY")
}

/// Whether a `SELECT` loads planner statistics, as pg_dump 18 writes them.
fn restores_statistics(text: &[u8]) -> bool {
    const NAMES: [&str; 2] = ["PG_RESTORE_RELATION_STATS", "PG_RESTORE_ATTRIBUTE_STATS"];
    Tokens::new(text).take(8).any(|token| NAMES.iter().any(|name| token.is(name)))
}

/// Whether a statement creates, changes or drops the language plpgsql, which every database has.
fn concerns_plpgsql(words: &[Token]) -> bool {
    const BEFORE: [&str; 8] = ["CREATE", "OR", "REPLACE", "TRUSTED", "PROCEDURAL", "ALTER", "DROP", "COMMENT"];
    let mut rest = words.iter().skip_while(|token| token.is("ON") || BEFORE.iter().any(|word| token.is(word)));
    rest.next().is_some_and(|token| token.is("LANGUAGE"))
        && rest
            .find(|token| !token.is("IF") && !token.is("EXISTS"))
            .and_then(Token::name)
            .is_some_and(|name| name.eq_ignore_ascii_case("plpgsql"))
}

/// Whether an `ALTER` only drops a part, as `pg_dump --clean` writes it.
fn drops_part(text: &[u8]) -> bool {
    let tokens: Vec<Token> = Tokens::new(text).take(64).collect();
    tokens.iter().any(|token| token.is("DROP"))
        && !tokens.iter().any(|token| ["ADD", "SET", "TYPE", "RENAME"].iter().any(|word| token.is(word)))
}

/// `DROP SCHEMA [IF EXISTS] name`
fn dropped_schema(words: &[Token]) -> Treatment {
    let name = words.iter().skip(2).find(|token| !token.is("IF") && !token.is("EXISTS")).and_then(Token::name);
    name.map_or(Treatment::Run, Treatment::DropSchema)
}

fn names_conforming_strings(words: &[Token]) -> bool {
    words.iter().take(3).any(|token| token.is("STANDARD_CONFORMING_STRINGS"))
}

/// Whether a statement may call `set_config('standard_conforming_strings', …)` or the like, so that
/// Postgres could end a string elsewhere than this parser.
fn changes_conforming_strings(text: &[u8]) -> bool {
    const NAMES: [&[u8]; 2] = [b"standard_conforming_strings", b"client_encoding"];
    NAMES.iter().any(|name| text.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name)))
}

/// Whether a statement is `ALTER kind name OWNER TO role` and nothing more. `RENAME owner TO name` and
/// a list of changes can end the same way.
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

/// Words between `RENAME` and the old name.
const PARTS: [&str; 4] = ["COLUMN", "CONSTRAINT", "ATTRIBUTE", "VALUE"];
/// Words between `ALTER` and a name.
const KINDS: [&str; 8] = ["TABLE", "VIEW", "SEQUENCE", "INDEX", "TYPE", "DOMAIN", "SCHEMA", "ONLY"];

/// Whether a statement sets `standard_conforming_strings` in an unambiguous form.
fn sets_conforming_strings_literally(text: &[u8]) -> bool {
    let words: Vec<Token> = Tokens::new(text).collect();
    let [set, name, equals, value, Token::Sign(';')] = words.as_slice() else { return false };
    let value = match value {
        Token::Word(word) => word == "ON" || word == "OFF",
        Token::Literal => [b"= 'on';".as_slice(), b"= 'off';"].iter().any(|end| text.ends_with(end)),
        _ => false,
    };
    // A comment in between could be parsed differently.
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
    if whole { Treatment::SkipAndReport("PUBLICATION", PUBLICATION_REASON) } else { Treatment::Run }
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
        return Treatment::refuse("COPY in binary format is not supported");
    }
    let Some(direction) = tokens.find(|token| token.is("FROM") || token.is("TO")) else { return Treatment::Run };
    // A column may have the name `encoding`; an option follows the direction.
    let options = Tokens::new(text).skip_while(|token| !token.is("STDIN"));
    if options.into_iter().any(|token| token.is("ENCODING")) {
        return Treatment::refuse("COPY with an encoding of its own is not supported");
    }
    match tokens.next() {
        Some(token) if token.is("STDIN") && direction.is("FROM") => Treatment::CopyRows,
        Some(token) if token.is("STDOUT") => Treatment::refuse("COPY … TO exports data instead of importing it"),
        Some(token) if token.is("PROGRAM") => {
            Treatment::refuse_server_files("COPY … PROGRAM runs a program on the server")
        }
        _ => Treatment::refuse_server_files("COPY with a file name reads or writes a file on the server"),
    }
}

/// `(format 'binary')`
fn binary_literal(text: &[u8]) -> bool {
    const WORD: &[u8] = b"'binary'";
    text.windows(WORD.len()).any(|part| part.eq_ignore_ascii_case(WORD))
}

#[cfg(test)]
mod tests;
