//! Classifies a SQL statement for an import.

mod settings;

use super::statement::{extension, policy_roles};
use super::tokens::{MAX_COMMENT, Token, Tokens, first_word, has_oversized_comment};
use settings::{changes_conforming_strings, local_setting, names_replication_role, treat_setting};

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
    /// `CREATE POLICY` or `ALTER POLICY`: run; these roles must exist.
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
    /// Drops objects: in a new database they may be missing, as psql would ignore.
    Drop,
    /// Sets this setting until the script's own transaction ends; without one, it has no effect.
    SetLocal(String),
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
/// Why maintenance commands are skipped.
const MAINTENANCE_REASON: &str = "an import does not need it";
/// Why planner statistics of pg_dump 18 are skipped.
pub const STATISTICS_REASON: &str = "the target computes its own planner statistics";
/// Why changes of extensions are skipped.
const EXTENSION_REASON: &str = "the target's version of the extension is used";

/// Reason to refuse a client encoding.
pub const UNSUPPORTED_ENCODING: &str = "the encoding of the dump is not supported; dump again with --encoding=UTF8";
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
        ("SET" | "RESET" | "DISCARD", ..) => treat_setting(text, &words),
        ("BEGIN", ..) | ("START", "TRANSACTION", _) => Treatment::Begin,
        ("COMMIT" | "ROLLBACK", "PREPARED", _) => Treatment::refuse("the statement ends a prepared transaction"),
        ("COMMIT" | "END", ..) => Treatment::Commit,
        ("ROLLBACK" | "ABORT", ..) if word(1) != "TO" && word(2) != "TO" => {
            Treatment::refuse("the statement would roll back the import")
        }
        ("PREPARE", "TRANSACTION", _) => Treatment::refuse("the statement would prepare a transaction"),
        ("REASSIGN", "OWNED", _) => Treatment::Skip,
        ("COMMENT", "ON", "EXTENSION" | "EVENT" | "SUBSCRIPTION" | "DATABASE" | "ROLE" | "TABLESPACE") => {
            Treatment::Skip
        }
        ("COMMENT", "ON", "PUBLICATION") => {
            words.get(3).and_then(Token::name).map_or(Treatment::Run, Treatment::AlterPublication)
        }
        ("ALTER", "SCHEMA", "PUBLIC") if word(3) == "RENAME" => {
            Treatment::refuse("the schema public cannot be renamed, because every database has it")
        }
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
        ("ALTER", "POLICY", _) if Tokens::new(text).any(|token| token.is("RENAME")) => Treatment::Run,
        ("CREATE" | "ALTER", "POLICY", _) => Treatment::CreatePolicy(policy_roles(text)),
        ("SELECT", ..) if local_setting(text).is_some() => {
            local_setting(text).map_or(Treatment::Run, Treatment::SetLocal)
        }
        ("SELECT" | "DO" | "CALL", ..) if names_replication_role(text) => {
            Treatment::refuse("session_replication_role is set in an unsupported way; use SET")
        }
        ("SELECT" | "DO" | "WITH" | "VALUES" | "CALL", ..) if changes_conforming_strings(text) => {
            Treatment::refuse("the statement changes how strings are parsed")
        }
        ("COPY", ..) => copy(text),
        ("DROP", "OWNED", _) => Treatment::Run,
        ("DROP", ..) => Treatment::Drop,
        ("ALTER", "TABLE", _) if detaches_concurrently(text) => Treatment::RunWithoutConcurrently,
        ("ALTER", "TABLE", _) if forces_row_security(text) => Treatment::ForceRowSecurity,
        ("ALTER", ..) if drops_part(text) => Treatment::Drop,
        _ => Treatment::Run,
    }
}

fn detaches_concurrently(text: &[u8]) -> bool {
    let tokens: Vec<Token> = Tokens::new(text).take(64).collect();
    ["DETACH", "CONCURRENTLY"].iter().all(|word| tokens.iter().any(|token| token.is(word)))
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
    let mut names = words.iter().skip(2).skip_while(|token| token.is("IF") || token.is("EXISTS"));
    let name = names.next().and_then(Token::name);
    if names.next() == Some(&Token::Sign(',')) {
        return Treatment::refuse("several schemas are dropped at once; write a statement for each");
    }
    name.map_or(Treatment::Run, Treatment::DropSchema)
}

/// Whether a statement is `ALTER kind name OWNER TO role` and nothing more. `RENAME owner TO name` and
/// a list of changes can end the same way.
fn changes_owner(text: &[u8]) -> bool {
    let tokens: Vec<Token> = Tokens::new(text).filter(|token| *token != Token::Sign(';')).collect();
    let [.., before, last, owner, to, _role] = tokens.as_slice() else { return false };
    if !owner.is("OWNER") || !to.is("TO") {
        return false;
    }
    // Directly after `ALTER TABLE` or the like, and not after a table named `domain`.
    let begins = match tokens.as_slice() {
        [_, kind, _, _, _, _] => kind == before,
        [_, first, _, _, _, _, _] => ["MATERIALIZED", "FOREIGN"].iter().any(|word| first.is(word)) || before.is("ONLY"),
        _ => before.is("ONLY"),
    };
    let is_name = *before == Token::Sign('.') || (begins && KINDS.iter().any(|kind| before.is(kind)));
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
    let options = Tokens::new(text).skip_while(|token| !token.is("FROM")).skip_while(|token| !token.is("STDIN"));
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
