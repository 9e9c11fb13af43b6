//! Tests that the two SQL parsers agree: [`Script`], which splits a stream into statements, and
//! [`Tokens`], which classifies a statement. If one saw a literal where the other saw SQL, a dump
//! could hide a statement from the import.

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

/// Returns a few bytes per read, to cover every block boundary.
struct Trickle(Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let step = self.1.min(buffer.len());
        self.0.read(&mut buffer[..step])
    }
}

/// Where a text is split: after semicolons that end a statement, and at the first psql command.
#[derive(Debug, Default, PartialEq, Eq)]
struct Cuts {
    semicolons: Vec<usize>,
    command: Option<usize>,
}

/// The cuts of [`Script`], after a prefix that sets `standard_conforming_strings`.
fn cuts_of_script(beginning: &str, text: &str, step: usize) -> Cuts {
    let whole = [beginning, text].concat().into_bytes();
    let mut script = Script::new(Trickle(Cursor::new(whole), step));
    let (mut cuts, mut at) = (Cuts::default(), 0);
    while let Some(piece) = script.next_piece().expect("reads") {
        let start = at;
        at += piece.bytes.len();
        match piece.kind {
            PieceKind::Statement if at > beginning.len() => cuts.semicolons.push(at - beginning.len()),
            PieceKind::Command | PieceKind::CommandInside => {
                cuts.command = Some(start - beginning.len());
                return cuts;
            }
            _ => {}
        }
    }
    cuts
}

/// The cuts derived from the tokens. Bodies of SQL-standard functions contain semicolons.
fn cuts_of_tokens(text: &str, backslashes: bool) -> Cuts {
    let mut tokens = Tokens::with_backslashes(text.as_bytes(), backslashes);
    let (mut cuts, mut statement) = (Cuts::default(), Statement::default());
    let (mut at, mut before) = (0, Vec::new());
    while let Some((token, raw, _)) = tokens.next_with_text() {
        let start = raw.as_ptr().addr() - text.as_ptr().addr();
        if start > at {
            before.clear(); // only adjacent signs belong together
        }
        at = start + raw.len();
        match &token {
            Token::Sign('\\') => {
                cuts.command = Some(start);
                return cuts;
            }
            Token::Sign(';') if statement.is_top_level() => {
                cuts.semicolons.push(at);
                statement = Statement::default();
            }
            Token::Sign('(') => statement.parentheses += 1,
            Token::Sign(')') => statement.parentheses = statement.parentheses.saturating_sub(1),
            // `:name` is a psql variable.
            Token::Word(word) if before.iter().rev().take_while(|sign| **sign == ':').count() % 2 == 0 => {
                statement.word(word);
            }
            _ => {}
        }
        before.push(if let Token::Sign(sign) = token { sign } else { ' ' });
    }
    cuts
}

/// Nesting depth within a statement.
#[derive(Default)]
struct Statement {
    parentheses: u32,
    words: Vec<String>,
    begins: u32,
}

impl Statement {
    fn is_top_level(&self) -> bool {
        self.parentheses == 0 && self.begins == 0
    }

    /// Whether the words so far create a function or procedure.
    fn creates_function(&self) -> bool {
        let mut words = self.words.iter().map(String::as_str);
        words.next() == Some("CREATE")
            && words
                .find(|word| !["OR", "REPLACE"].contains(word))
                .is_some_and(|word| ["FUNCTION", "PROCEDURE"].contains(&word))
    }

    fn word(&mut self, word: &str) {
        let was_function = self.creates_function();
        self.words.push(word.to_owned());
        if !was_function || self.parentheses > 0 {
            return;
        }
        if word == "BEGIN" || (word == "CASE" && self.begins > 0) {
            self.begins += 1;
        } else if word == "END" {
            self.begins = self.begins.saturating_sub(1);
        }
    }
}

fn assert_agreement(text: &str, step: usize) -> Result<(), TestCaseError> {
    for (beginning, backslashes) in [("", false), ("SET standard_conforming_strings = off;\n", true)] {
        let (script, tokens) = (cuts_of_script(beginning, text, step), cuts_of_tokens(text, backslashes));
        prop_assert_eq!(&script, &tokens, "{:?} in steps of {}, backslashes: {}", text, step, backslashes);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Both parsers find the same statements.
    #[test]
    fn they_cut_alike(text in text(), step in 1_usize..9) {
        assert_agreement(&text, step)?;
    }

    /// At every position, both parsers agree whether it lies in a literal or comment: a semicolon
    /// there ends the statement for both or for neither.
    #[test]
    fn they_see_the_same_literals(text in text(), at in any::<proptest::sample::Index>()) {
        let places: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
        let at = *at.get(&places);
        assert_agreement(&[&text[..at], ";", &text[at..]].concat(), 4096)?;
    }

    /// A statement in which every literal has escapes keeps its tokens under standard strings.
    #[test]
    fn escapes_can_be_replaced(text in text()) {
        let read = |text: &[u8], backslashes| Tokens::with_backslashes(text, backslashes).collect::<Vec<_>>();
        prop_assert_eq!(read(text.as_bytes(), true), read(&super::tokens::with_standard_strings(text.as_bytes()), false));
    }
}

#[test]
fn an_escape_hides_nothing() {
    let run = |text: &str| {
        let found = super::scan::scan(Cursor::new(text.as_bytes().to_vec())).expect("reads");
        found.refusal.map(|(place, _)| place.to_string())
    };
    // The text after the literal is not part of it.
    assert_eq!(run("COPY (SELECT E'a'\n'\\'') TO PROGRAM 'id';\n").as_deref(), Some("line 1"));
    let off = "SET standard_conforming_strings = off;\n";
    assert_eq!(run(&format!("{off}COPY (SELECT '\\'') TO PROGRAM 'id';\n")).as_deref(), Some("line 2"));
    assert_eq!(run(&format!("{off}INSERT INTO t VALUES ('a\\'b;');\n")), None);
}
