//! Tests of splitting a script.

use super::*;
use proptest::prelude::*;

/// Returns a few bytes per read, to cover every block boundary.
struct Trickle(io::Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let step = self.1.min(buffer.len());
        self.0.read(&mut buffer[..step])
    }
}

fn script(text: &[u8], step: usize) -> Script {
    Script::new(Trickle(io::Cursor::new(text.to_vec()), step))
}

fn letter(kind: PieceKind) -> char {
    match kind {
        PieceKind::Between => 'b',
        PieceKind::Statement | PieceKind::Inserts(_) => 's',
        PieceKind::StatementStart => 'l',
        PieceKind::StatementPart => 'p',
        PieceKind::Command => 'c',
        PieceKind::CommandInside => 'i',
        PieceKind::Rows => 'r',
    }
}

fn pieces(text: &[u8], step: usize) -> (Vec<(char, String, u64)>, Option<Unfinished>) {
    let mut script = script(text, step);
    let mut found: Vec<(char, String, u64)> = Vec::new();
    while let Some(piece) = script.next_piece().expect("reads") {
        let (kind, line) = (letter(piece.kind), piece.line());
        let text = String::from_utf8_lossy(piece.bytes).into_owned();
        match found.last_mut() {
            Some((last, before, _)) if *last == kind && "br".contains(kind) => before.push_str(&text),
            _ => found.push((kind, text, line)),
        }
    }
    (found, script.unfinished())
}

/// The statements, commands and rows; they must not depend on the size of reads.
fn cut(text: &str) -> Vec<String> {
    let mut first = None;
    for step in [1, 2, 3, 7, 64, 4096] {
        let (found, unfinished) = pieces(text.as_bytes(), step);
        assert_eq!(unfinished, None, "{text}");
        let whole: String = found.iter().map(|(_, text, _)| text.as_str()).collect();
        assert_eq!(whole, text);
        let told: Vec<String> = found
            .into_iter()
            .filter(|(kind, ..)| *kind != 'b')
            .map(|(kind, text, line)| format!("{kind}{line} {text}"))
            .collect();
        assert_eq!(first.get_or_insert_with(|| told.clone()), &told, "in steps of {step}");
    }
    first.expect("was cut")
}

#[test]
fn cuts_statements_at_their_semicolons() {
    assert_eq!(
        cut("-- head; not\nSELECT 1;\n\nSELECT ';' || E'\\';' || \";\" /* ; /* ; */ */ -- ;\n;"),
        ["s2 SELECT 1;", "s4 SELECT ';' || E'\\';' || \";\" /* ; /* ; */ */ -- ;\n;"]
    );
}

#[test]
fn inserts_come_in_runs_that_hold_only_inserts() {
    let run = "INSERT INTO t VALUES (1, 'a;''b', -2);\nINSERT INTO \"a;b\" VALUES ('--', 1 / 2);\n";
    let odd =
        "INSERT INTO t VALUES (E'\\';');\nINSERT INTO t VALUES ($a$;$a$);\nINSERT INTO t SELECT 1 -- ;\n;\nSELECT 1;";
    let text = format!("{run}{odd}");
    let mut script = script(text.as_bytes(), 1 << 20);
    let mut kinds = Vec::new();
    while let Some(piece) = script.next_piece().expect("reads") {
        if piece.kind != PieceKind::Between {
            kinds.push((piece.kind, piece.bytes.len()));
        }
    }
    let kinds_of_odd = kinds.iter().skip(1).map(|(kind, _)| *kind).collect::<Vec<_>>();
    assert_eq!(kinds[0], (PieceKind::Inserts(2), run.len()));
    assert_eq!(kinds_of_odd, [PieceKind::Statement; 4]);
}

#[test]
fn long_runs_are_whole_whoever_finds_them() {
    let tricky = "INSERT INTO t VALUES (1, 'one);\nINSERT INTO two', 'it''s');\n";
    let plain = "INSERT INTO public.t VALUES (-1.5, NULL, 'some text; more', '2024-01-01');\n";
    for period in [1, 2, 7, 5000] {
        let lines = (0..40_000).map(|number| if number % period == 0 { tricky } else { plain });
        let text: String = lines.collect();
        let mut script = script(text.as_bytes(), 1 << 20);
        let (mut whole, mut count) = (Vec::new(), 0);
        while let Some(piece) = script.next_piece().expect("reads") {
            whole.extend_from_slice(piece.bytes);
            count += match piece.kind {
                PieceKind::Inserts(several) => several,
                PieceKind::Statement => 1,
                PieceKind::Between => 0,
                other => panic!("{other:?}"),
            };
        }
        assert_eq!(count, 40_000, "every {period}th is tricky");
        assert!(whole == text.as_bytes());
    }
}

#[test]
fn a_dollar_quote_hides_everything() {
    assert_eq!(
        cut("CREATE FUNCTION f() AS $body$ a; $x$ b; $body$ LANGUAGE sql; SELECT $1;"),
        ["s1 CREATE FUNCTION f() AS $body$ a; $x$ b; $body$ LANGUAGE sql;", "s1 SELECT $1;"]
    );
}

#[test]
fn a_function_body_of_statements_is_one_statement() {
    let function =
        "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;";
    assert_eq!(cut(&format!("{function}\nBEGIN;")), [format!("s1 {function}"), "s2 BEGIN;".into()]);
    let rule = "CREATE RULE r AS ON UPDATE TO t DO (SELECT 1; SELECT 2);";
    assert_eq!(cut(rule), [format!("s1 {rule}")]);
}

#[test]
fn rows_are_not_sql() {
    assert_eq!(
        cut("COPY t (a) FROM stdin;\nit's; -- a row\n\\.x\n\\N\n\\.\nSELECT 1;\nCOPY e FROM stdin;\n\\.\nSELECT 2;"),
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
fn psql_commands_are_seen_wherever_they_stand() {
    assert_eq!(
        cut("\\restrict abc\nSELECT 1;\n\\unrestrict abc\n"),
        ["c1 \\restrict abc\n", "s2 SELECT 1;", "c3 \\unrestrict abc\n"]
    );
    assert_eq!(cut("SELECT 1 \\gexec\nSELECT 2;"), ["l1 SELECT 1 ", "i1 \\gexec\n", "s2 SELECT 2;"]);
}

#[test]
fn a_comment_ends_where_psql_ends_it() {
    assert_eq!(cut("-- x\rCOMMIT;\n\x0bCOMMIT;"), ["s1 COMMIT;", "s2 COMMIT;"]);
    assert_eq!(pieces(b"SELECT 1; /* c */ -- bye", 3).1, None);
}

#[test]
fn a_command_behind_a_long_statement_is_still_one() {
    let text = format!("SELECT '{}'\\! id\n", "x".repeat(MAX_WHOLE_STATEMENT - 9));
    let mut script = script(text.as_bytes(), 1 << 20);
    let mut kinds = Vec::new();
    while let Some(piece) = script.next_piece().expect("reads") {
        kinds.push(piece.kind);
    }
    assert_eq!(kinds.last(), Some(&PieceKind::CommandInside));
}

#[test]
fn backslashes_escape_when_the_script_says_so() {
    let text =
        "SET standard_conforming_strings = off;SELECT 'a\\';b';SET standard_conforming_strings = on;SELECT 'a\\';";
    assert_eq!(cut(text).len(), 4);
    for set in [
        "/* x */ set session standard_conforming_strings to 'OFF';",
        "SET LOCAL \"standard_conforming_strings\"=false ;",
    ] {
        assert_eq!(cut(&format!("{set}SELECT 'a\\';b';")).len(), 2, "{set}");
    }
}

#[test]
fn a_script_that_ends_too_early_is_seen() {
    for (text, what) in [
        ("SELECT 1", Unfinished::Statement),
        ("SELECT 'a;", Unfinished::Statement),
        ("COPY t FROM stdin;\n1\n", Unfinished::Rows),
        ("COPY t FROM stdin;", Unfinished::Rows),
        ("CREATE FUNCTION f() AS $$ a;", Unfinished::Statement),
    ] {
        assert_eq!(pieces(text.as_bytes(), 5).1, Some(what), "{text}");
    }
    assert_eq!(pieces(b"SELECT 1; -- end", 5).1, None);
}

#[test]
fn a_long_statement_comes_in_parts() {
    let text = format!("INSERT INTO t VALUES ('{}');SELECT 1;", "x;".repeat(MAX_WHOLE_STATEMENT));
    let mut script = script(text.as_bytes(), 1 << 20);
    let (mut whole, mut kinds) = (Vec::new(), String::new());
    while let Some(piece) = script.next_piece().expect("reads") {
        assert!(piece.bytes.len() <= MAX_WHOLE_STATEMENT + 2 * BLOCK);
        whole.extend_from_slice(piece.bytes);
        kinds.push(letter(piece.kind));
    }
    assert_eq!(whole, text.as_bytes());
    assert!(kinds.starts_with('l') && kinds.ends_with("ps"), "{kinds}");
}

proptest! {
    #[test]
    fn nothing_is_lost_and_steps_do_not_matter(
        text in "(SELECT|COPY t FROM stdin;\n|'|\"|\\$a\\$|\\$|;|--|/\\*|\\*/|\\(|\\)|\\\\|E'|\\\\\\.\n|\n|[a-z ]){0,40}", step in 1_usize..9
    ) {
        let (by_step, end_by_step) = pieces(text.as_bytes(), step);
        let (at_once, end_at_once) = pieces(text.as_bytes(), 1 << 20);
        let whole: String = by_step.iter().map(|(_, text, _)| text.as_str()).collect();
        prop_assert_eq!(&whole, &text);
        prop_assert_eq!(end_by_step, end_at_once);
        let statements = |pieces: &[(char, String, u64)]| pieces.iter().filter(|(kind, ..)| *kind == 's').cloned().collect::<Vec<_>>();
        prop_assert_eq!(statements(&by_step), statements(&at_once));
    }
}
