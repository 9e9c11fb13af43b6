//! What a plain dump holds, read in one pass before any of it is run.

use super::sql::{Kind, Script, Unfinished};
use super::statement::{ExtensionWish, Treatment, treat};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// A plain dump's contents, as far as an import must know them beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// From the comment at the head; empty when there is none.
    pub server_version: String,
    /// Extensions that it creates.
    pub extensions: Vec<ExtensionWish>,
    /// Roles that its policies name.
    pub policy_roles: Vec<String>,
    /// Objects that an import leaves out, with how many and why.
    pub left_out: BTreeMap<&'static str, (u64, &'static str)>,
    /// Statements.
    pub statements: u64,
    /// The first thing that cannot be part of an import: its line, and why.
    pub refusal: Option<(u64, String)>,
    /// What the file ends in the middle of.
    pub unfinished: Option<Unfinished>,
}

/// Why a dump with zero bytes is refused: psql would pass over the rest of each such line.
pub const ZERO_BYTES: &str = "it holds zero bytes, so the file is damaged";
/// Why a psql command within a statement is refused.
pub const INSIDE_STATEMENT: &str = "a psql command stands in the middle of a statement";

/// The most names that are kept: no honest dump has more, and memory stays bounded.
const MOST_NAMES: usize = 10_000;

/// Reads a whole script.
pub fn survey(reader: impl Read) -> io::Result<Survey> {
    let mut script = Script::new(reader);
    let mut found = Survey::default();
    let mut long = false;
    while let Some(piece) = script.next_piece()? {
        let in_long = std::mem::replace(&mut long, false);
        if memchr::memchr(0, piece.bytes).is_some() {
            refuse(&mut found, piece.line, ZERO_BYTES.into());
        }
        match piece.kind {
            Kind::Between if found.server_version.is_empty() && found.statements < 2 => {
                found.server_version = dumped_from(piece.bytes).unwrap_or_default();
            }
            Kind::Between | Kind::Rows => {}
            Kind::StatementPart if in_long => long = true,
            Kind::StatementPart => {
                refuse(&mut found, piece.line, "text follows COPY … FROM stdin on its line".into());
            }
            Kind::CommandInside => refuse(&mut found, piece.line, INSIDE_STATEMENT.into()),
            Kind::Command => {
                if let Some(why) = refused_command(piece.bytes) {
                    refuse(&mut found, piece.line, why);
                }
            }
            Kind::Statement | Kind::StatementStart => {
                let treatment = treat(piece.bytes);
                long = piece.kind == Kind::StatementStart;
                found.statements += 1;
                note(&mut found, treatment, piece.line);
            }
        }
    }
    found.unfinished = script.unfinished();
    Ok(found)
}

fn note(found: &mut Survey, treatment: Treatment, line: u64) {
    match treatment {
        Treatment::CreateExtension(wish) if found.extensions.len() < MOST_NAMES => found.extensions.push(wish),
        Treatment::CreatePolicy(roles) => {
            let room = MOST_NAMES.saturating_sub(found.policy_roles.len());
            found.policy_roles.extend(roles.into_iter().take(room));
        }
        Treatment::LeaveOut(kind, reason) => found.left_out.entry(kind).or_insert((0, reason)).0 += 1,
        Treatment::Refuse(why) => refuse(found, line, why.to_owned()),
        _ => {}
    }
}

fn refuse(found: &mut Survey, line: u64, why: String) {
    found.refusal.get_or_insert((line, why));
}

/// Why a psql command cannot be part of an import; `None` for the two that newer versions of
/// `pg_dump` write around every dump.
pub fn refused_command(command: &[u8]) -> Option<String> {
    let name = command.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    if matches!(name, b"\\restrict" | b"\\unrestrict") {
        return None;
    }
    let name = crate::text::printable(&String::from_utf8_lossy(name), 30);
    Some(format!("the psql command {name} would reach outside the import"))
}

/// The version in `-- Dumped from database version 15.18 (Debian …)`.
fn dumped_from(comments: &[u8]) -> Option<String> {
    const WORDS: &[u8] = b"-- Dumped from database version ";
    let from = memchr::memmem::find(comments, WORDS)? + WORDS.len();
    let line = comments[from..].split(|byte| *byte == b'\n').next()?;
    Some(crate::text::printable(&String::from_utf8_lossy(line), 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_an_import_must_know() {
        let text = "--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n\n-- Dumped from database version 15.18 (Debian)\n\
            -- Dumped by pg_dump version 17.11\n\nSET a = 1;\nCREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA ext;\n\
            CREATE POLICY p ON t TO anon USING (true);\nCREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();\n\
            COPY t FROM stdin;\n\\! rm\n\\.\n\\unrestrict x\n";
        let found = survey(text.as_bytes()).expect("reads");
        assert_eq!(found.server_version, "15.18 (Debian)");
        assert_eq!(found.extensions, [ExtensionWish { name: "hstore".into(), schema: Some("ext".into()) }]);
        assert_eq!(found.policy_roles, ["anon"]);
        assert_eq!(found.left_out["EVENT TRIGGER"].0, 1);
        assert_eq!((found.statements, found.refusal, found.unfinished), (5, None, None));
    }

    #[test]
    fn damage_and_disguise_are_refused() {
        let refusal = |text: &str| survey(text.as_bytes()).expect("reads").refusal.map(|(_, why)| why);
        assert_eq!(refusal("COPY t FROM stdin;\n1\0\n\\.\n").as_deref(), Some(ZERO_BYTES));
        assert_eq!(refusal("PREPARE \\restrict x\nTRANSACTION 'a';").as_deref(), Some(INSIDE_STATEMENT));
        assert_eq!(refusal("SELECT 1 \\gexec\n").as_deref(), Some(INSIDE_STATEMENT));
    }

    #[test]
    fn names_the_line_of_what_is_refused() {
        let refusal = |text: &str| survey(text.as_bytes()).expect("reads").refusal;
        assert_eq!(
            refusal("SELECT 1;\n\n\\! id\n"),
            Some((3, "the psql command \\! would reach outside the import".into()))
        );
        assert_eq!(refusal("SELECT 1 \\gexec\n").map(|(line, _)| line), Some(1));
        assert_eq!(refusal("SELECT 1;\nCREATE ROLE x;\n").map(|(line, _)| line), Some(2));
        assert_eq!(refusal("COPY t FROM stdin; SELECT 1;\n\\.\n").map(|(line, _)| line), Some(1));
    }
}
