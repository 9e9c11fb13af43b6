//! Unit tests for splitting a script into pieces.

use super::*;
use proptest::prelude::*;

/// Returns at most a few bytes per read, to cover every block boundary.
struct ShortReads(io::Cursor<Vec<u8>>, usize);

impl Read for ShortReads {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read_size = self.1.min(buffer.len());
        self.0.read(&mut buffer[..read_size])
    }
}

fn script(text: &[u8], read_size: usize) -> Script {
    Script::new(ShortReads(io::Cursor::new(text.to_vec()), read_size))
}

fn letter(kind: PieceKind) -> char {
    match kind {
        PieceKind::Between => 'b',
        PieceKind::Ignored => 'g',
        PieceKind::Statement | PieceKind::Inserts(_) => 's',
        PieceKind::StatementStart => 'l',
        PieceKind::StatementPart => 'p',
        PieceKind::Command => 'c',
        PieceKind::CommandInside => 'i',
        PieceKind::Rows => 'r',
    }
}

fn pieces(text: &[u8], read_size: usize) -> (Vec<(char, String, u64)>, Option<Unfinished>) {
    let mut script = script(text, read_size);
    let mut merged: Vec<(char, String, u64)> = Vec::new();
    while let Some(piece) = script.next_piece().expect("a readable script") {
        let (kind, line) = (letter(piece.kind), piece.line());
        let text = String::from_utf8_lossy(piece.bytes).into_owned();
        match merged.last_mut() {
            Some((last, previous, _)) if *last == kind && "br".contains(kind) => previous.push_str(&text),
            _ => merged.push((kind, text, line)),
        }
    }
    (merged, script.unfinished())
}

/// The statements, commands and rows of a script, which must not depend on the read size.
fn split(text: &str) -> Vec<String> {
    let mut expected = None;
    for read_size in [1, 2, 3, 7, 64, 4096] {
        let (merged, unfinished) = pieces(text.as_bytes(), read_size);
        assert_eq!(unfinished, None, "{text}");
        let joined: String = merged.iter().map(|(_, text, _)| text.as_str()).collect();
        assert_eq!(joined, text);
        let lines: Vec<String> = merged
            .into_iter()
            .filter(|(kind, ..)| *kind != 'b')
            .map(|(kind, text, line)| format!("{kind}{line} {text}"))
            .collect();
        assert_eq!(expected.get_or_insert_with(|| lines.clone()), &lines, "{read_size} bytes per read");
    }
    expected.expect("at least one read size")
}

#[test]
fn statements_end_at_their_semicolons() {
    assert_eq!(
        split("-- head; not\nSELECT 1;\n\nSELECT ';' || E'\\';' || \";\" /* ; /* ; */ */ -- ;\n;"),
        ["s2 SELECT 1;", "s4 SELECT ';' || E'\\';' || \";\" /* ; /* ; */ */ -- ;\n;"]
    );
}

#[test]
fn runs_of_inserts_contain_only_plain_inserts() {
    let run = "INSERT INTO t VALUES (1, 'a;''b', -2);\nINSERT INTO \"a;b\" VALUES ('--', 1 / 2);\n";
    let others =
        "INSERT INTO t VALUES (E'\\';');\nINSERT INTO t VALUES ($a$;$a$);\nINSERT INTO t SELECT 1 -- ;\n;\nSELECT 1;";
    let text = format!("{run}{others}");
    let mut script = script(text.as_bytes(), 1 << 20);
    let mut kinds = Vec::new();
    while let Some(piece) = script.next_piece().expect("a readable script") {
        if piece.kind != PieceKind::Between {
            kinds.push((piece.kind, piece.bytes.len()));
        }
    }
    let other_kinds = kinds.iter().skip(1).map(|(kind, _)| *kind).collect::<Vec<_>>();
    assert_eq!(kinds[0], (PieceKind::Inserts(2), run.len()));
    assert_eq!(other_kinds, [PieceKind::Statement; 4]);
}

#[test]
fn long_runs_of_inserts_are_complete() {
    let tricky = "INSERT INTO t VALUES (1, 'one);\nINSERT INTO two', 'it''s');\n";
    let plain = "INSERT INTO public.t VALUES (-1.5, NULL, 'some text; more', '2024-01-01');\n";
    for period in [1, 2, 7, 5000] {
        let lines = (0..40_000).map(|number| if number % period == 0 { tricky } else { plain });
        let text: String = lines.collect();
        let mut script = script(text.as_bytes(), 1 << 20);
        let (mut joined, mut count) = (Vec::new(), 0);
        while let Some(piece) = script.next_piece().expect("a readable script") {
            joined.extend_from_slice(piece.bytes);
            count += match piece.kind {
                PieceKind::Inserts(statements) => statements,
                PieceKind::Statement => 1,
                PieceKind::Between => 0,
                other => panic!("{other:?}"),
            };
        }
        assert_eq!(count, 40_000, "every {period}th statement is tricky");
        assert!(joined == text.as_bytes());
    }
}

#[test]
fn semicolons_in_a_dollar_quote_do_not_end_a_statement() {
    assert_eq!(
        split("CREATE FUNCTION f() AS $body$ a; $x$ b; $body$ LANGUAGE sql; SELECT $1;"),
        ["s1 CREATE FUNCTION f() AS $body$ a; $x$ b; $body$ LANGUAGE sql;", "s1 SELECT $1;"]
    );
}

#[test]
fn function_bodies_and_rules_are_not_split() {
    let function =
        "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;";
    assert_eq!(split(&format!("{function}\nBEGIN;")), [format!("s1 {function}"), "s2 BEGIN;".into()]);
    let rule = "CREATE RULE r AS ON UPDATE TO t DO (SELECT 1; SELECT 2);";
    assert_eq!(split(rule), [format!("s1 {rule}")]);
}

#[test]
fn copy_rows_are_not_parsed_as_sql() {
    assert_eq!(
        split("COPY t (a) FROM stdin;\nit's; -- a row\n\\.x\n\\N\n\\.\nSELECT 1;\nCOPY e FROM stdin;\n\\.\nSELECT 2;"),
        [
            "s1 COPY t (a) FROM stdin;",
            "r2 it's; -- a row\n\\.x\n\\N\n\\.\n",
            "s6 SELECT 1;",
            "s7 COPY e FROM stdin;",
            "r8 \\.\n",
            "s9 SELECT 2;"
        ]
    );
}

#[test]
fn psql_commands_are_found_at_any_position() {
    assert_eq!(
        split("\\restrict abc\nSELECT 1;\n\\unrestrict abc\n"),
        ["c1 \\restrict abc\n", "s2 SELECT 1;", "c3 \\unrestrict abc\n"]
    );
    assert_eq!(split("SELECT 1 \\gexec\nSELECT 2;"), ["l1 SELECT 1 ", "i1 \\gexec\n", "s2 SELECT 2;"]);
}

#[test]
fn comments_end_where_psql_ends_them() {
    assert_eq!(split("-- x\rCOMMIT;\n\x0bCOMMIT;"), ["s1 COMMIT;", "s2 COMMIT;"]);
    assert_eq!(pieces(b"SELECT 1; /* c */ -- bye", 3).1, None);
}

#[test]
fn a_psql_command_after_a_long_statement_is_found() {
    let text = format!("SELECT '{}'\\! id\n", "x".repeat(MAX_WHOLE_STATEMENT - 9));
    let mut script = script(text.as_bytes(), 1 << 20);
    let mut kinds = Vec::new();
    while let Some(piece) = script.next_piece().expect("a readable script") {
        kinds.push(piece.kind);
    }
    assert_eq!(kinds.last(), Some(&PieceKind::CommandInside));
}

#[test]
fn standard_conforming_strings_decides_whether_backslashes_escape() {
    let text =
        "SET standard_conforming_strings = off;SELECT 'a\\';b';SET standard_conforming_strings = on;SELECT 'a\\';";
    assert_eq!(split(text).len(), 4);
    for setting in [
        "/* x */ set session standard_conforming_strings to 'OFF';",
        "SET LOCAL \"standard_conforming_strings\"=false ;",
    ] {
        assert_eq!(split(&format!("{setting}SELECT 'a\\';b';")).len(), 2, "{setting}");
    }
}

#[test]
fn a_truncated_script_is_detected() {
    for (text, unfinished) in [
        ("SELECT 1", Unfinished::Statement),
        ("SELECT 'a;", Unfinished::Statement),
        ("COPY t FROM stdin;\n1\n", Unfinished::Rows),
        ("COPY t FROM stdin;", Unfinished::Rows),
        ("CREATE FUNCTION f() AS $$ a;", Unfinished::Statement),
    ] {
        assert_eq!(pieces(text.as_bytes(), 5).1, Some(unfinished), "{text}");
    }
    assert_eq!(pieces(b"SELECT 1; -- end", 5).1, None);
}

#[test]
fn a_long_statement_is_split_into_parts() {
    let text = format!("INSERT INTO t VALUES ('{}');SELECT 1;", "x;".repeat(MAX_WHOLE_STATEMENT));
    let mut script = script(text.as_bytes(), 1 << 20);
    let (mut joined, mut kinds) = (Vec::new(), String::new());
    while let Some(piece) = script.next_piece().expect("a readable script") {
        assert!(piece.bytes.len() <= MAX_WHOLE_STATEMENT + 2 * BLOCK);
        joined.extend_from_slice(piece.bytes);
        kinds.push(letter(piece.kind));
    }
    assert_eq!(joined, text.as_bytes());
    assert!(kinds.starts_with('l') && kinds.ends_with("ps"), "{kinds}");
}

proptest! {
    #[test]
    fn no_byte_is_lost_and_the_read_size_does_not_matter(
        text in "(SELECT|COPY t FROM stdin;\n|'|\"|\\$a\\$|\\$|;|--|/\\*|\\*/|\\(|\\)|\\\\|E'|\\\\\\.\n|\n|[a-z ]){0,40}",
        read_size in 1_usize..9
    ) {
        let (short_reads, short_reads_end) = pieces(text.as_bytes(), read_size);
        let (one_read, one_read_end) = pieces(text.as_bytes(), 1 << 20);
        let joined: String = short_reads.iter().map(|(_, text, _)| text.as_str()).collect();
        prop_assert_eq!(&joined, &text);
        prop_assert_eq!(short_reads_end, one_read_end);
        let statements = |pieces: &[(char, String, u64)]| pieces.iter().filter(|(kind, ..)| *kind == 's').cloned().collect::<Vec<_>>();
        prop_assert_eq!(statements(&short_reads), statements(&one_read));
    }
}
