//! Classifies statements about settings.

use super::{Treatment, UNSUPPORTED_ENCODING};
use crate::dump::encoding::{Encoding, is_supported};
use crate::dump::statement::client_encoding;
use crate::dump::tokens::{Token, Tokens, first_word};

/// Why `SET TRANSACTION` is skipped.
const TRANSACTION_REASON: &str = "the import runs in transactions of its own";

/// Classifies a `SET`, `RESET` or `DISCARD`.
pub(super) fn treat_setting(text: &[u8], words: &[Token]) -> Treatment {
    let word = |place: usize| match words.get(place) {
        Some(Token::Word(word)) => word.as_str(),
        _ => "",
    };
    match (word(0), word(1), word(2)) {
        // Deferred constraints are checked when the transaction ends, and earlier is not needed.
        ("SET", "CONSTRAINTS", _) if words.iter().any(|token| token.is("IMMEDIATE")) => Treatment::Skip,
        ("SET", "CONSTRAINTS", _) => Treatment::Run,
        ("SET", "TRANSACTION", _) | ("SET", "SESSION", "CHARACTERISTICS") => {
            Treatment::SkipAndReport("SET TRANSACTION", TRANSACTION_REASON)
        }
        ("SET" | "RESET", "ROLE", _)
        | ("SET" | "RESET", "SESSION", "AUTHORIZATION" | "ROLE")
        | ("SET", "LOCAL", "ROLE") => Treatment::Skip,
        ("SET" | "RESET", ..) if names_conforming_strings(words) && !sets_conforming_strings_literally(text) => {
            Treatment::refuse("standard_conforming_strings is set in an unsupported way")
        }
        ("RESET", "ALL", _) => Treatment::ResetAll,
        ("SET", "LOCAL", "SESSION_REPLICATION_ROLE") => {
            Treatment::refuse("SET LOCAL session_replication_role is not supported; remove the word LOCAL")
        }
        ("SET", "LOCAL", "CLIENT_ENCODING" | "NAMES") => {
            Treatment::refuse("client_encoding is set for one transaction; remove the word LOCAL")
        }
        ("SET", "LOCAL", _) => local_setting(text).map_or(Treatment::Run, Treatment::SetLocal),
        ("DISCARD", "ALL", _) => Treatment::ResetAll,
        ("SET" | "RESET", "SESSION_REPLICATION_ROLE", _) | ("SET", "SESSION", "SESSION_REPLICATION_ROLE") => {
            Treatment::ReplicationRole
        }
        ("SET", "CLIENT_ENCODING" | "NAMES", _) | ("SET", "SESSION", "CLIENT_ENCODING" | "NAMES") => {
            sets_client_encoding(text)
        }
        ("SET", "DEFAULT_TABLESPACE", _) if !ends_with_empty_literal(text) => Treatment::Skip,
        _ => Treatment::Run,
    }
}

/// The setting of `SET LOCAL name …` or of a bare `SELECT set_config('name', 'value', true)`.
pub(super) fn local_setting(text: &[u8]) -> Option<String> {
    let mut tokens = Tokens::new(text).filter(|token| !token.is("PG_CATALOG") && *token != Token::Sign('.'));
    if first_word(text).eq_ignore_ascii_case(b"set") {
        let mut names = Tokens::new(text).skip(2);
        let name = names.next()?.name()?;
        return match (name.as_str(), names.next()) {
            ("time", _) => Some("timezone".to_owned()),
            (_, Some(Token::Sign('.'))) => Some(format!("{name}.{}", names.next()?.name()?)),
            ("xml" | "transaction" | "session" | "schema", _) => None,
            _ => Some(name),
        };
    }
    let is_call = tokens.nth(1)?.is("SET_CONFIG");
    let rest: Vec<Token> = tokens.collect();
    let form = [Token::Sign('('), Token::Literal, Token::Sign(','), Token::Literal, Token::Sign(',')];
    let [rest @ .., last, Token::Sign(')'), Token::Sign(';')] = rest.as_slice() else { return None };
    if !is_call || rest != form || !last.is("TRUE") {
        return None;
    }
    let name = text.split(|byte| *byte == b'\'').nth(1)?;
    Some(String::from_utf8_lossy(name).to_lowercase())
}

/// `SET client_encoding`. Text of a `SQL_ASCII` dump must be UTF-8, which the server checks only if the
/// client declares UTF-8.
fn sets_client_encoding(text: &[u8]) -> Treatment {
    match client_encoding(text) {
        Some(name) if !is_supported(&name) => Treatment::refuse(UNSUPPORTED_ENCODING),
        Some(name) if Encoding::parse(&name) == Encoding::SqlAscii => Treatment::Skip,
        Some(_) => Treatment::Run,
        None => Treatment::refuse("client_encoding is set in an unsupported way"),
    }
}

fn names_conforming_strings(words: &[Token]) -> bool {
    words.iter().take(3).any(|token| token.is("STANDARD_CONFORMING_STRINGS"))
}

/// Whether a statement may call `set_config('standard_conforming_strings', …)` or the like, so that
/// Postgres could end a string elsewhere than this parser.
pub(super) fn changes_conforming_strings(text: &[u8]) -> bool {
    const NAMES: [&[u8]; 2] = [b"standard_conforming_strings", b"client_encoding"];
    NAMES.iter().any(|name| text.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name)))
}

pub(super) fn names_replication_role(text: &[u8]) -> bool {
    const NAME: &[u8] = b"session_replication_role";
    text.windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME))
}

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
