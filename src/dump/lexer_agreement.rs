//! Tests that the two SQL parsers agree: [`Script`], which splits a stream into statements, and
//! [`Tokens`], which splits a statement into tokens to classify it. If one parser read a literal
//! where the other read SQL, a dump could hide a statement from the import.

use super::sql::{PieceKind, Script};
use super::tokens::{Token, Tokens};
use proptest::prelude::*;
use std::io::{Cursor, Read};

/// Fragments of SQL that the two parsers could treat differently.
const FRAGMENTS: &[&str] = &[
    "'",
    "''",
    "'a'",
    "e'",
    "E'\\''",
    "\\'",
    "\\",
    "\"",
    "\"\"",
    "\"a;b\"",
    "$",
    "$$",
    "$a$",
    "$a$ ; $a$",
    "$$'$$",
    "a$b",
    "$e'",
    "1$",
    "--",
    "-- c\n",
    "-",
    "/*",
    "*/",
    "/* ; */",
    "/",
    "*",
    "(",
    ")",
    "(;)",
    ";",
    "\n",
    " ",
    "\r",
    "\x0b",
    "é",
    ":",
    ":a",
    "::a",
    "a",
    "e",
    "E",
    "select",
    "create",
    "or",
    "replace",
    "function",
    "procedure",
    "begin",
    "atomic",
    "case",
    "end",
    "as",
    "language",
];

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(FRAGMENTS), 0..24).prop_map(|parts| parts.concat())
}

/// Returns at most a few bytes per read, to cover every block boundary.
struct ShortReads(Cursor<Vec<u8>>, usize);

impl Read for ShortReads {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read_size = self.1.min(buffer.len());
        self.0.read(&mut buffer[..read_size])
    }
}

/// Where a script is split: after each semicolon that ends a statement, and at the first psql command.
#[derive(Debug, Default, PartialEq, Eq)]
struct Boundaries {
    semicolons: Vec<usize>,
    command: Option<usize>,
}

/// The boundaries found by [`Script`] after a prefix that sets `standard_conforming_strings`.
fn boundaries_of_script(prefix: &str, text: &str, read_size: usize) -> Boundaries {
    let input = [prefix, text].concat().into_bytes();
    let mut script = Script::new(ShortReads(Cursor::new(input), read_size));
    let (mut boundaries, mut offset) = (Boundaries::default(), 0);
    while let Some(piece) = script.next_piece().expect("a readable script") {
        let start = offset;
        offset += piece.bytes.len();
        match piece.kind {
            PieceKind::Statement if offset > prefix.len() => boundaries.semicolons.push(offset - prefix.len()),
            PieceKind::Command | PieceKind::CommandInside => {
                boundaries.command = Some(start - prefix.len());
                return boundaries;
            }
            _ => {}
        }
    }
    boundaries
}

/// The boundaries derived from the tokens. Bodies of SQL-standard functions contain semicolons.
fn boundaries_of_tokens(text: &str, backslashes: bool) -> Boundaries {
    let mut tokens = Tokens::with_backslashes(text.as_bytes(), backslashes);
    let (mut boundaries, mut statement) = (Boundaries::default(), Statement::default());
    let (mut offset, mut preceding) = (0, Vec::new());
    while let Some((token, raw, _)) = tokens.next_with_text() {
        let start = raw.as_ptr().addr() - text.as_ptr().addr();
        if start > offset {
            preceding.clear(); // only adjacent colons are counted
        }
        offset = start + raw.len();
        match &token {
            Token::Sign('\\') => {
                boundaries.command = Some(start);
                return boundaries;
            }
            Token::Sign(';') if statement.is_top_level() => {
                boundaries.semicolons.push(offset);
                statement = Statement::default();
            }
            Token::Sign('(') => statement.parentheses += 1,
            Token::Sign(')') => statement.parentheses = statement.parentheses.saturating_sub(1),
            // `:name` is a psql variable.
            Token::Word(word) if preceding.iter().rev().take_while(|sign| **sign == ':').count() % 2 == 0 => {
                statement.add_word(word);
            }
            _ => {}
        }
        preceding.push(if let Token::Sign(sign) = token { sign } else { ' ' });
    }
    boundaries
}

/// Nesting depth within a statement.
#[derive(Default)]
struct Statement {
    parentheses: u32,
    words: Vec<String>,
    open_blocks: u32,
}

impl Statement {
    fn is_top_level(&self) -> bool {
        self.parentheses == 0 && self.open_blocks == 0
    }

    /// Whether the words so far create a function or procedure.
    fn creates_function(&self) -> bool {
        let mut words = self.words.iter().map(String::as_str);
        words.next() == Some("CREATE")
            && words
                .find(|word| !["OR", "REPLACE"].contains(word))
                .is_some_and(|word| ["FUNCTION", "PROCEDURE"].contains(&word))
    }

    fn add_word(&mut self, word: &str) {
        let was_function = self.creates_function();
        self.words.push(word.to_owned());
        if !was_function || self.parentheses > 0 {
            return;
        }
        if word == "BEGIN" || (word == "CASE" && self.open_blocks > 0) {
            self.open_blocks += 1;
        } else if word == "END" {
            self.open_blocks = self.open_blocks.saturating_sub(1);
        }
    }
}

fn assert_agreement(text: &str, read_size: usize) -> Result<(), TestCaseError> {
    for (prefix, backslashes) in [("", false), ("SET standard_conforming_strings = off;\n", true)] {
        let (script, tokens) = (boundaries_of_script(prefix, text, read_size), boundaries_of_tokens(text, backslashes));
        prop_assert_eq!(&script, &tokens, "{:?}, {} bytes per read, backslashes: {}", text, read_size, backslashes);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn both_parsers_find_the_same_statements(text in text(), read_size in 1_usize..9) {
        assert_agreement(&text, read_size)?;
    }

    /// Both parsers agree on whether a position is inside a literal or comment: a semicolon inserted
    /// there ends the statement for both or for neither.
    #[test]
    fn both_parsers_find_the_same_literals(text in text(), index in any::<proptest::sample::Index>()) {
        let offsets: Vec<usize> = (0..=text.len()).filter(|offset| text.is_char_boundary(*offset)).collect();
        let offset = *index.get(&offsets);
        assert_agreement(&[&text[..offset], ";", &text[offset..]].concat(), 4096)?;
    }

    /// Converting the literals of a statement from backslash escapes to standard strings keeps its tokens.
    #[test]
    fn standard_strings_keep_the_tokens(text in text()) {
        let tokens = |text: &[u8], backslashes| Tokens::with_backslashes(text, backslashes).collect::<Vec<_>>();
        let converted = super::tokens::with_standard_strings(text.as_bytes());
        prop_assert_eq!(tokens(text.as_bytes(), true), tokens(&converted, false));
    }
}

#[test]
fn escapes_hide_no_statement() {
    let refusal = |text: &str| {
        let contents = super::scan::scan(Cursor::new(text.as_bytes().to_vec()), None, &[]).expect("a readable script");
        contents.refusal.map(|(location, _)| location.to_string())
    };
    // The text after the literal is not part of it.
    assert_eq!(refusal("COPY (SELECT E'a'\n'\\'') TO PROGRAM 'id';\n").as_deref(), Some("line 1"));
    let off = "SET standard_conforming_strings = off;\n";
    assert_eq!(refusal(&format!("{off}COPY (SELECT '\\'') TO PROGRAM 'id';\n")).as_deref(), Some("line 2"));
    assert_eq!(refusal(&format!("{off}INSERT INTO t VALUES ('a\\'b;');\n")), None);
}
