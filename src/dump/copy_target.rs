//! The table of a `COPY … FROM stdin` in a plain dump, and the check of its rows.

use super::tokens::{Token, Tokens};

/// The table and columns of a `COPY` in the form that pg_dump writes: text format, tabs between fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CopyTarget {
    /// The table as the statement names it.
    pub(super) table: String,
    /// Number of columns; at least one. Without a list of columns, as many as the first row has.
    pub(super) columns: Option<usize>,
}

impl CopyTarget {
    /// Parses `COPY table [(column, …)] FROM stdin;`. `None` for other forms, whose rows are not checked.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut tokens = Tokens::new(text);
        let mut table = String::new();
        tokens.next()?; // COPY
        loop {
            let (token, raw, _) = tokens.next_with_text()?;
            match token {
                Token::Sign('(') => break,
                ref word if word.is("FROM") => {
                    let rest: Vec<Token> = tokens.collect();
                    let [stdin, Token::Sign(';')] = rest.as_slice() else { return None };
                    return stdin.is("STDIN").then_some(Self { table, columns: None });
                }
                Token::Word(_) | Token::Quoted(_) | Token::Sign('.') => table.push_str(&String::from_utf8_lossy(raw)),
                _ => return None,
            }
        }
        let mut columns = 1;
        loop {
            match tokens.next()? {
                Token::Sign(',') => columns += 1,
                Token::Sign(')') => break,
                Token::Word(_) | Token::Quoted(_) => {}
                _ => return None,
            }
        }
        let rest: Vec<Token> = tokens.collect();
        let [from, stdin, Token::Sign(';')] = rest.as_slice() else { return None };
        (from.is("FROM") && stdin.is("STDIN")).then_some(Self { table, columns: Some(columns) })
    }

    /// The first row that has too many or too few fields: the number of lines before it, and its
    /// number of fields. `rows` must be whole lines, `line_ends` of them.
    pub(super) fn invalid_row(&mut self, rows: &[u8], line_ends: u64) -> Option<(u64, usize)> {
        let marker = [b"\\.\n".as_slice(), b"\\.\r\n"].into_iter().find(|marker| ends_with_line(rows, marker));
        let rows = &rows[..rows.len() - marker.map_or(0, <[u8]>::len)];
        let line_ends = line_ends - u64::from(marker.is_some());
        let tabs = |bytes: &[u8]| memchr::memchr_iter(b'\t', bytes).count();
        let fields = |row: &[u8]| tabs(row) + 1;
        let first = rows.split_inclusive(|byte| *byte == b'\n').next()?;
        let columns = *self.columns.get_or_insert_with(|| fields(first));
        // A count of all rows is faster than a look at every row.
        if tabs(rows) as u64 == line_ends * (columns as u64 - 1) {
            return None;
        }
        // Versions before 7.2 wrote line ends and tabs in values with a backslash before them.
        if has_escaped_separator(rows) {
            return None;
        }
        let mut lines = rows.split_inclusive(|byte| *byte == b'\n').map(fields).enumerate();
        lines.find(|(_, fields)| *fields != columns).map(|(line, fields)| (line as u64, fields))
    }
}

/// Whether a line end or tab follows an odd number of backslashes.
fn has_escaped_separator(rows: &[u8]) -> bool {
    memchr::memchr3_iter(b'\n', b'\r', b'\t', rows).any(|at| {
        let backslashes = rows[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        backslashes % 2 == 1
    })
}

fn ends_with_line(rows: &[u8], line: &[u8]) -> bool {
    rows.strip_suffix(line).is_some_and(|before| before.is_empty() || before.ends_with(b"\n"))
}

#[cfg(test)]
mod tests {
    use super::super::window::line_ends;
    use super::*;

    #[test]
    fn the_form_of_pg_dump_is_parsed() {
        let target = CopyTarget::parse(b"COPY public.\"a b\" (x, \"y,z\") FROM stdin;").expect("a target");
        assert_eq!((target.table.as_str(), target.columns), ("public.\"a b\"", Some(2)));
        let target = CopyTarget::parse(b"COPY public.t FROM stdin;").expect("a target");
        assert_eq!((target.table.as_str(), target.columns), ("public.t", None));
        for text in ["COPY t (a) FROM stdin WITH CSV;", "COPY t (a) FROM stdin (DELIMITER ',');"] {
            assert_eq!(CopyTarget::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn rows_with_other_numbers_of_fields_are_found() {
        let invalid_row = |target: &mut CopyTarget, rows: &[u8]| target.invalid_row(rows, line_ends(rows));
        let mut target = CopyTarget { table: "t".into(), columns: Some(2) };
        assert_eq!(invalid_row(&mut target, b"1\ta\n2\tb\n\\.\n"), None);
        assert_eq!(invalid_row(&mut target, b"1\ta\npg_dump: warning\n2\tb\n"), Some((1, 1)));
        assert_eq!(invalid_row(&mut target, b"1\ta\tb\n"), Some((0, 3)));
        assert_eq!(invalid_row(&mut target, b"\\.\n"), None);
        assert_eq!(invalid_row(&mut target, b"1\tC:\\\\\npg_dump: warning\n"), Some((1, 1)), "an escaped backslash");
        assert_eq!(invalid_row(&mut target, b"1\ta\\\nb\n2\tc\n"), None, "an escaped line end");
        let mut unlisted = CopyTarget { table: "t".into(), columns: None };
        assert_eq!(invalid_row(&mut unlisted, b"1\ta\tb\n1\ta\n"), Some((1, 2)));
        let mut single = CopyTarget { table: "t".into(), columns: Some(1) };
        assert_eq!(invalid_row(&mut single, b"a\n\n\\.\r\n"), None);
    }
}
