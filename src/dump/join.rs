//! Joins several plain dumps into one script, as psql would run them one after the other.

use super::detect::{self, DumpError, DumpFile, Format};
use super::spool::{Spool, SpoolError};
use crate::util::byte_counter::ByteCounter;
use crate::util::format::printable;
use std::io::{Cursor, Read};

/// The comment before each file. The control plane, which gets one script, finds the files by it.
pub(super) const FILE_MARK: &[u8] = b"-- File: ";

/// A file within a joined dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The name in messages.
    pub shown: String,
    /// Offset of its first byte in the joined dump.
    pub(super) offset: u64,
    /// Its first line in the joined dump, from 1.
    pub line: u64,
}

/// A message with its lines of the joined dump (`line 20`) as lines of the files (`line 3 of schema.sql`).
pub fn with_lines_of_files(message: &str, parts: &[Part]) -> String {
    const WORD: &str = "line ";
    let (mut text, mut rest) = (String::new(), message);
    while let Some(at) = rest.find(WORD) {
        let (before, number) = rest.split_at(at + WORD.len());
        let digits = number.len() - number.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        text.push_str(before);
        let line: Option<u64> = number[..digits].parse().ok();
        match line.and_then(|line| Some((line, parts.iter().rfind(|part| part.line <= line)?))) {
            Some((line, part)) => text.extend([&(line - part.line + 1).to_string(), " of ", &part.shown]),
            None => text.push_str(&number[..digits]),
        }
        rest = &number[digits..];
    }
    text + rest
}

/// Why dumps cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// A file is not plain SQL.
    #[error("{0} is in {1} format; several files must all be plain SQL")]
    NotPlain(String, &'static str),
    /// A file is given twice.
    #[error("{0} is given twice")]
    Twice(String),
    /// A file cannot be decompressed.
    #[error(transparent)]
    Dump(#[from] DumpError),
    /// The copy cannot be written.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Checks whether dumps can be joined.
pub fn check_joinable(dumps: &[DumpFile]) -> Result<(), JoinError> {
    if let Some(dump) = dumps.iter().find(|dump| dump.format != Format::Plain) {
        return Err(JoinError::NotPlain(dump.shown.clone(), dump.format.name()));
    }
    let is_repeated =
        |(at, dump): &(usize, &DumpFile)| dumps[..*at].iter().any(|other| other.identity == dump.identity);
    match dumps.iter().enumerate().find(is_repeated) {
        Some((_, dump)) => Err(JoinError::Twice(dump.shown.clone())),
        None => Ok(()),
    }
}

/// Writes the dumps, decompressed, one after the other into a private file.
pub fn join(dumps: Vec<DumpFile>, progress: &ByteCounter) -> Result<DumpFile, JoinError> {
    check_joinable(&dumps)?;
    let growth = |dump: &DumpFile| if dump.outer_compression.is_some() { 3 } else { 1 };
    let expected = dumps.iter().map(|dump| dump.size.saturating_mul(growth(dump))).sum();
    let mut spool = Spool::new(expected, progress)?;
    let mut parts = Vec::new();
    for dump in dumps {
        // A comment ends no statement, so a file that ends within one can be recognized.
        let name = dump.shown.rsplit(['/', '\\']).next().unwrap_or_default();
        let (offset, line) = spool.position();
        spool.append(Cursor::new([FILE_MARK, printable(name, 100).as_bytes(), b"\n"].concat()))?;
        parts.push(Part { shown: dump.shown.clone(), offset, line: line + 1 });
        let broken = |error| {
            let compression = dump.outer_compression.map_or("text", |compression| compression.name());
            DumpError::Compressed(dump.shown.clone(), compression, error)
        };
        let appended = match dump.outer_compression {
            None => spool.append(without_mark(dump.file).map_err(SpoolError::Read)?),
            Some(compression) => {
                let reader = compression.decompress(dump.file).and_then(without_mark).map_err(broken)?;
                spool.append(reader)
            }
        };
        match appended {
            Err(SpoolError::Read(error)) if dump.outer_compression.is_some() => return Err(broken(error).into()),
            result => result?,
        }
        spool.append(Cursor::new(b"\n"))?;
    }
    let shown = format!("{} files", parts.len());
    Ok(DumpFile { parts, ..detect::identify(spool.into_file(), shown)? })
}

/// Skips a byte order mark, which may stand only at the start of a script.
fn without_mark(mut reader: impl Read) -> std::io::Result<impl Read> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let mut start = Vec::new();
    reader.by_ref().take(MARK.len() as u64).read_to_end(&mut start)?;
    if start == MARK {
        start.clear();
    }
    Ok(Cursor::new(start).chain(reader))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::read;
    use std::fs::File;
    use std::io::{Seek, Write};

    #[test]
    fn lines_of_a_joined_dump_are_shown_as_lines_of_its_files() {
        let part = |shown: &str, line| Part { shown: shown.into(), offset: 0, line };
        let parts = [part("a.sql", 2), part("b.sql", 10)];
        let shown = |text: &str| with_lines_of_files(text, &parts);
        assert_eq!(shown("line 2: COPY t (line 12)"), "line 1 of a.sql: COPY t (line 3 of b.sql)");
        assert_eq!(shown("line 1, a line of text, line "), "line 1, a line of text, line ");
    }

    fn plain(name: &str, text: &[u8]) -> DumpFile {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(text).expect("a writable file");
        detect::identify(file, name.to_owned()).expect("a dump")
    }

    fn text(mut file: &File) -> String {
        let mut text = String::new();
        file.rewind().expect("a seekable file");
        file.read_to_string(&mut text).expect("a readable file");
        text
    }

    #[test]
    fn files_follow_each_other_with_their_first_lines() {
        let dumps =
            vec![plain("a/roles.sql", b"SET a.b = 1;"), plain("data.sql", b"\xef\xbb\xbfSELECT 1;\nSELECT 2;\n")];
        let joined = join(dumps, &ByteCounter::default()).expect("joined dumps");
        assert_eq!(text(&joined.file), "-- File: roles.sql\nSET a.b = 1;\n-- File: data.sql\nSELECT 1;\nSELECT 2;\n\n");
        let lines: Vec<_> = joined.parts.iter().map(|part| (part.shown.as_str(), part.line)).collect();
        assert_eq!(lines, [("a/roles.sql", 2), ("data.sql", 4)]);
    }

    #[test]
    fn a_file_that_ends_within_a_statement_is_truncated() {
        let truncated = |first: &[u8]| {
            let dumps = vec![plain("first.sql", first), plain("second.sql", b"INSERT INTO t VALUES ('a');\n")];
            let joined = join(dumps, &ByteCounter::default()).expect("joined dumps");
            read(&joined, &ByteCounter::default()).expect("a readable dump").truncated
        };
        assert_eq!(truncated(b"INSERT INTO t VALUES (1);"), None);
        assert_eq!(truncated(b"INSERT INTO t VALUES (1); -- comment"), None);
        for text in ["SELECT 1", "INSERT INTO t VALUES ('a", "/* a", "COPY t (x) FROM stdin;\n1\n", "SELECT $$ a;"] {
            let why = truncated(text.as_bytes()).expect(text);
            assert!(why.starts_with("first.sql ends in the middle of "), "{text}: {why}");
        }
    }

    #[test]
    fn each_file_may_have_an_end_marker() {
        let dump = b"--\n-- PostgreSQL database dump\n--\nCREATE TABLE t (x int);\n--\n-- PostgreSQL database dump complete\n--\n";
        let joined =
            join(vec![plain("a.sql", dump), plain("b.sql", b"CREATE INDEX ON t (x);\n")], &ByteCounter::default());
        let joined = joined.expect("joined dumps");
        // The control plane gets the script without its parts.
        let as_sent = DumpFile { parts: Vec::new(), ..joined.try_clone().expect("a file") };
        for dump in [joined, as_sent] {
            assert_eq!(read(&dump, &ByteCounter::default()).expect("a readable dump").truncated, None);
        }
    }

    #[test]
    fn a_file_is_joined_only_once() {
        let dump = plain("a.sql", b"SELECT 1;");
        let error = join(vec![dump.try_clone().expect("a file"), dump], &ByteCounter::default()).expect_err("twice");
        assert_eq!(error.to_string(), "a.sql is given twice");
    }

    #[test]
    fn only_plain_dumps_are_joined() {
        let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/17-custom.dump");
        let archive = plain("app.dump", &std::fs::read(seed).expect("a readable file"));
        let error = join(vec![plain("a.sql", b"SELECT 1;"), archive], &ByteCounter::default()).expect_err("an archive");
        assert_eq!(error.to_string(), "app.dump is in custom format; several files must all be plain SQL");
    }
}
