//! The table of a `COPY … FROM stdin` in a plain dump, and the check of its rows.

use super::tokens::{Token, Tokens};

/// The table and columns of a `COPY` in the form that pg_dump writes: text format, tabs between fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CopyTarget {
    /// The table as the statement names it.
    pub(super) table: String,
    /// Number of columns; at least one.
    pub(super) columns: usize,
}

impl CopyTarget {
    /// Parses `COPY table (column, …) FROM stdin;`. `None` for other forms, whose rows are not checked.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut tokens = Tokens::new(text);
        let mut table = String::new();
        tokens.next()?; // COPY
        loop {
            let (token, raw, _) = tokens.next_with_text()?;
            match token {
                Token::Sign('(') => break,
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
        (from.is("FROM") && stdin.is("STDIN")).then_some(Self { table, columns })
    }

    /// The first row that has too many or too few fields: the number of lines before it, and its
    /// number of fields. `rows` must be whole lines.
    pub(super) fn invalid_row(&self, rows: &[u8]) -> Option<(u64, usize)> {
        let marker = [b"\\.\n".as_slice(), b"\\.\r\n"].into_iter().find(|marker| ends_with_line(rows, marker));
        let rows = &rows[..rows.len() - marker.map_or(0, <[u8]>::len)];
        let count = |byte: u8| memchr::memchr_iter(byte, rows).count();
        // Two counts are faster than a look at every row.
        if count(b'\t') == count(b'\n') * (self.columns - 1) {
            return None;
        }
        // Versions before 7.2 wrote line ends and tabs in values with a backslash before them.
        if [b"\\\n".as_slice(), b"\\\r\n", b"\\\t"].iter().any(|escape| memchr::memmem::find(rows, escape).is_some()) {
            return None;
        }
        let fields = |row: &[u8]| memchr::memchr_iter(b'\t', row).count() + 1;
        let mut lines = rows.split_inclusive(|byte| *byte == b'\n').map(fields).enumerate();
        lines.find(|(_, fields)| *fields != self.columns).map(|(line, fields)| (line as u64, fields))
    }
}

fn ends_with_line(rows: &[u8], line: &[u8]) -> bool {
    rows.strip_suffix(line).is_some_and(|before| before.is_empty() || before.ends_with(b"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_pg_dump_is_parsed() {
        let target = CopyTarget::parse(b"COPY public.\"a b\" (x, \"y,z\") FROM stdin;").expect("a target");
        assert_eq!((target.table.as_str(), target.columns), ("public.\"a b\"", 2));
        for text in ["COPY t FROM stdin;", "COPY t (a) FROM stdin WITH CSV;", "COPY t (a) FROM stdin (DELIMITER ',');"]
        {
            assert_eq!(CopyTarget::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn rows_with_other_numbers_of_fields_are_found() {
        let target = CopyTarget { table: "t".into(), columns: 2 };
        assert_eq!(target.invalid_row(b"1\ta\n2\tb\n\\.\n"), None);
        assert_eq!(target.invalid_row(b"1\ta\npg_dump: warning\n2\tb\n"), Some((1, 1)));
        assert_eq!(target.invalid_row(b"1\ta\tb\n"), Some((0, 3)));
        assert_eq!(target.invalid_row(b"\\.\n"), None);
        let single = CopyTarget { table: "t".into(), columns: 1 };
        assert_eq!(single.invalid_row(b"a\n\n\\.\r\n"), None);
    }
}
