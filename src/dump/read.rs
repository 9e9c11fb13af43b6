//! Reads the contents of a dump in any format.

use super::archive::{Archive, ArchiveError, DataLocation, Entry, Header};
use super::archive_data::{AfterBlocks, after_blocks, first_invalid_row};
use super::contents::{Contents, DumpLocation, Finding};
use super::definitions::Definitions;
use super::detect::{DumpError, DumpFile, Format};
use super::encoding::Encoding;
use super::findings::{record_alter, record_create, record_grant, record_requirements, record_schema};
use super::statement::client_encoding;
use super::tokens::{Token, Tokens};
use super::treatment::{
    EVENT_TRIGGER_REASON, PUBLICATION_REASON, SECURITY_LABEL_REASON, SUBSCRIPTION_REASON, Treatment, treat,
};
use super::{scan, tar};
use crate::util::byte_counter::ByteCounter;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::Ordering;

/// Reads all of a plain dump, or the table of contents and the end of an archive. `progress` counts
/// the bytes read.
pub fn read(dump: &DumpFile, progress: &ByteCounter) -> Result<Contents, DumpError> {
    let unreadable = |error| DumpError::Unreadable(dump.shown.clone(), error);
    let encoding = dump.source_encoding.as_ref();
    let mut file = dump.file.try_clone().map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let file = Counted { file, progress: progress.clone() };
    let found = match dump.outer_compression {
        None if dump.format == Format::Plain => {
            finish_plain(scan::scan(file, encoding, &dump.parts).map_err(unreadable)?)
        }
        None => read_archive(dump, BufReader::with_capacity(128 << 10, file))?,
        Some(outer_compression) => {
            let broken = |error| DumpError::Compressed(dump.shown.clone(), outer_compression.name(), error);
            let inside = outer_compression.decompress(file).map_err(broken)?;
            match dump.format {
                Format::Plain => finish_plain(scan::scan(inside, encoding, &dump.parts).map_err(broken)?),
                _ => read_compressed_archive(dump, inside, broken)?,
            }
        }
    };
    dump.file.try_clone().and_then(|mut file| file.rewind()).map_err(unreadable)?;
    Ok(Contents { format: dump.format, ..found })
}

struct Counted {
    file: File,
    progress: ByteCounter,
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.progress.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

fn finish_plain(mut found: Contents) -> Contents {
    if found.truncated.is_none() {
        found.truncated = found.unfinished.map(|unfinished| format!("the file ends {unfinished}"));
    }
    found
}

fn read_archive(dump: &DumpFile, mut reader: BufReader<Counted>) -> Result<Contents, DumpError> {
    let bad = |error: ArchiveError| DumpError::Archive(dump.shown.clone(), dump.format.name(), error);
    let io = |error: io::Error| bad(error.into());
    let mut file = dump.file.try_clone().map_err(io)?;
    let mut found = if dump.format == Format::Tar {
        contents_of(BufReader::new(tar::first_member(&mut reader).map_err(io)?), dump).map_err(bad)?
    } else {
        contents_of(&mut reader, dump).map_err(bad)?
    };
    found.size = dump.size;
    let truncated = match dump.format {
        Format::Custom => {
            let position = reader.stream_position().map_err(io)?;
            check_text(&mut found, &mut reader, dump).map_err(io)?;
            // All blocks are read only if the archive does not say where the last one begins.
            let start = if found.furthest > 0 { found.furthest } else { position };
            file.seek(SeekFrom::Start(start)).map_err(io)?;
            let skip =
                |file: &mut File, length: u64| file.seek_relative(i64::try_from(length).map_err(io::Error::other)?);
            problem_after_blocks(after_blocks(&mut file, found.number_length.saturating_sub(1), skip).map_err(io)?)
        }
        Format::Tar => (!tar::is_complete(&mut file, dump.size).map_err(io)?).then_some("the last members are missing"),
        Format::Directory | Format::Plain => None,
    };
    found.truncated = found.truncated.or(truncated.map(str::to_owned));
    Ok(found)
}

/// Why the end of a custom archive is invalid; `None` if it is valid.
fn problem_after_blocks(after: AfterBlocks) -> Option<&'static str> {
    match after {
        AfterBlocks::End => None,
        AfterBlocks::Archive => Some("a second archive follows, which pg_restore ignores; import each on its own"),
        AfterBlocks::Zeros => Some("zeros follow the last table's data, as if a copy had not finished"),
        AfterBlocks::Truncated => Some("the end of the last table's data is missing"),
    }
}

/// Reads to the end, because only the end shows whether the file decompresses completely.
fn read_compressed_archive(
    dump: &DumpFile,
    inside: impl Read,
    broken: impl Fn(io::Error) -> DumpError,
) -> Result<Contents, DumpError> {
    let bad = |error: ArchiveError| match error {
        ArchiveError::Io(error) => broken(error),
        error => DumpError::Archive(dump.shown.clone(), dump.format.name(), error),
    };
    let mut reader = BufReader::with_capacity(128 << 10, Measured { inside, length: 0 });
    let mut problem = None;
    let mut found = if dump.format == Format::Tar {
        let toc = tar::first_member(&mut reader).map_err(&broken)?;
        contents_of(BufReader::new(toc), dump).map_err(bad)?
    } else {
        let mut found = contents_of(&mut reader, dump).map_err(bad)?;
        if !check_text(&mut found, &mut reader, dump).map_err(&broken)? {
            let skip = |reader: &mut BufReader<_>, length| skip_bytes(reader, length);
            let after = after_blocks(&mut reader, found.number_length.saturating_sub(1), skip).map_err(&broken)?;
            problem = problem_after_blocks(after);
        }
        found
    };
    io::copy(&mut reader, &mut io::sink()).map_err(&broken)?;
    found.size = reader.get_ref().length;
    if found.furthest >= found.size {
        problem = problem.or(Some("the end of the last table's data is missing"));
    }
    found.truncated = found.truncated.or(problem.map(str::to_owned));
    Ok(found)
}

fn skip_bytes(reader: &mut impl Read, length: u64) -> io::Result<()> {
    let skipped = io::copy(&mut reader.take(length), &mut io::sink())?;
    if skipped == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Checks the rows of a custom archive whose source did not check them itself; false for all others, of
/// which nothing is read.
fn check_text(found: &mut Contents, reader: &mut impl BufRead, dump: &DumpFile) -> io::Result<bool> {
    let encoding = Encoding::parse(&found.encoding);
    let unchecked = encoding == Encoding::SqlAscii || dump.source_encoding.is_some() && encoding == Encoding::Utf8;
    let needed = unchecked && dump.format == Format::Custom && found.invalid_text.is_none();
    let (Some(compression), true) = (found.compression, needed) else { return Ok(false) };
    // A file that ends too early is reported as truncated.
    let row = match first_invalid_row(reader, found.number_length.saturating_sub(1), compression) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        result => result?,
    };
    found.invalid_text = row.map(|(entry, bytes)| {
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02x}")).collect();
        (DumpLocation::Entry(entry), format!("{} in the rows", bytes.join(" ")))
    });
    Ok(true)
}

struct Measured<R> {
    inside: R,
    length: u64,
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inside.read(buffer)?;
        self.length += length as u64;
        Ok(length)
    }
}

fn contents_of(reader: impl BufRead, dump: &DumpFile) -> Result<Contents, ArchiveError> {
    let mut archive = Archive::open(reader)?.with_encoding(dump.source_encoding.as_ref());
    let mut found = of_header(archive.header());
    let mut definitions = Definitions::default();
    while let Some(entry) = archive.next_entry()? {
        if let Some(bytes) = archive.take_invalid_text().filter(|_| found.invalid_text.is_none()) {
            let shown: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02x}")).collect();
            found.invalid_text =
                Some((DumpLocation::Entry(entry.id), format!("{} in the definition", shown.join(" "))));
        }
        check_data_location(&mut found, &entry, dump);
        record_entry(&mut found, &entry);
        definitions.take(&entry);
    }
    if let Some(encoding) = &dump.source_encoding {
        found.encoding = encoding.to_string();
    }
    found.settle_references();
    if let Some((id, why)) = definitions.finish() {
        found.record(Finding::Refused, &why, || (DumpLocation::Entry(id), String::new()));
        found.refusal = Some((DumpLocation::Entry(id), why));
    }
    Ok(found)
}

fn of_header(header: &Header) -> Contents {
    Contents {
        archive_version: Some(header.version),
        compression: Some(header.compression),
        number_length: 1 + usize::from(header.int_size),
        server_version: header.server_version.clone(),
        dump_version: header.dump_version.clone(),
        ..Contents::default()
    }
}

/// Checks that an entry's data exists.
fn check_data_location(found: &mut Contents, entry: &Entry, dump: &DumpFile) {
    if found.truncated.is_some() {
        return;
    }
    if let DataLocation::At(offset) = entry.data {
        found.furthest = found.furthest.max(offset);
    }
    let missing = match &entry.data {
        DataLocation::At(offset) => dump.outer_compression.is_none() && *offset >= dump.size,
        DataLocation::File(name) => dump.dir.as_ref().is_some_and(|dir| !has_file(dir, name)),
        DataLocation::None | DataLocation::Somewhere => false,
    };
    if missing {
        let name = crate::util::format::printable(&entry.tag, 60);
        found.truncated = Some(format!("the data of {name} (entry {}) is missing", entry.id));
    }
}

fn has_file(dir: &Path, name: &str) -> bool {
    // pg_dump never writes a name with a slash.
    !name.contains('/') && ["", ".gz", ".lz4", ".zst"].iter().any(|end| dir.join(format!("{name}{end}")).is_file())
}

/// Kinds whose definitions may need a superuser or use an extension.
const DEFINITIONS: [&str; 33] = [
    "ACCESS METHOD",
    "AGGREGATE",
    "CAST",
    "DEFAULT",
    "DOMAIN",
    "FUNCTION",
    "INDEX",
    "MATERIALIZED VIEW",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "PROCEDURAL LANGUAGE",
    "PROCEDURE",
    "TABLE",
    "CHECK CONSTRAINT",
    "COLLATION",
    "CONSTRAINT",
    "CONVERSION",
    "FK CONSTRAINT",
    "FOREIGN TABLE",
    "POLICY",
    "RULE",
    "SEQUENCE",
    "SEQUENCE OWNED BY",
    "STATISTICS",
    "TRIGGER",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TEXT SEARCH PARSER",
    "TEXT SEARCH TEMPLATE",
    "TYPE",
    "VIEW",
    "TABLE ATTACH",
    "TRANSFORM",
];

/// What pg_dump writes after a table whose row-level security applies to its owner too.
pub const FORCE_ROW_SECURITY: &str = " FORCE ROW LEVEL SECURITY;";

/// Records an entry of an archive.
fn record_entry(found: &mut Contents, entry: &Entry) {
    let at = || DumpLocation::Entry(entry.id);
    let named = || (at(), format!("{} {}", entry.kind, entry.tag));
    if !entry.owner.is_empty() {
        found.record(Finding::Owner, &entry.owner, named);
    }
    let text = entry.definition.as_bytes();
    let create = |found: &mut Contents| {
        let tokens: Vec<Token> = Tokens::new(text).take(64).collect();
        record_create(found, text, &tokens, &at);
    };
    if ["TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "TYPE", "DOMAIN"].contains(&entry.kind.as_str()) {
        found.add_own_name(&entry.tag.to_lowercase());
        record_schema(found, &entry.schema, named);
    }
    if DEFINITIONS.contains(&entry.kind.as_str()) {
        record_requirements(found, text, &at);
    }
    match entry.kind.as_str() {
        "TABLE" => {
            found.count("tables");
            found.tables_for_data += 1;
            found.add_table(&entry.schema, &entry.tag);
            if entry.definition.contains(FORCE_ROW_SECURITY) {
                found.record(Finding::ForcedRowSecurity, &format!("{}.{}", entry.schema, entry.tag), named);
            }
        }
        "TABLE DATA" => {
            found.tables_with_data += 1;
            if entry.copy.is_empty() {
                found.record(Finding::Inserts, "", named);
            }
        }
        "INDEX" => found.count("indexes"),
        "VIEW" => found.count("views"),
        "MATERIALIZED VIEW" => found.count("materialized views"),
        "SEQUENCE" => found.count("sequences"),
        "TYPE" | "DOMAIN" => {
            found.count("types");
            found.add_type(&entry.tag);
        }
        "CONSTRAINT" | "CHECK CONSTRAINT" => found.count("constraints"),
        "FK CONSTRAINT" | "ROW SECURITY" => record_alter(found, text, &at),
        "TRIGGER"
        | "FUNCTION"
        | "PROCEDURE"
        | "AGGREGATE"
        | "PROCEDURAL LANGUAGE"
        | "POLICY"
        | "FOREIGN TABLE"
        | "SERVER"
        | "FOREIGN DATA WRAPPER"
        | "USER MAPPING" => create(found),
        "EXTENSION" => {
            let wanted = super::statement::extension(text);
            let wanted =
                wanted.unwrap_or(super::treatment::RequestedExtension { name: entry.tag.clone(), schema: None });
            found.add_extension(wanted, at());
        }
        "SCHEMA" => found.add_schema(&entry.tag),
        "ACL" => each_statement(entry, |statement| record_grant(found, statement, &at)),
        "DEFAULT ACL" => each_statement(entry, |statement| record_alter(found, statement, &at)),
        "EVENT TRIGGER" => {
            found.skip_object("EVENT TRIGGER", EVENT_TRIGGER_REASON);
            found.record(Finding::EventTrigger, &entry.tag, named);
        }
        "SUBSCRIPTION" => {
            found.skip_object("SUBSCRIPTION", SUBSCRIPTION_REASON);
            found.record(Finding::Subscription, &entry.tag, named);
        }
        "PUBLICATION" => {
            found.count("publications");
            if matches!(treat(text), Treatment::SkipAndReport(..)) {
                found.skip_object("PUBLICATION", PUBLICATION_REASON);
                found.record(Finding::Publication, &entry.tag, named);
            }
        }
        "PUBLICATION TABLES IN SCHEMA" => {
            found.skip_object("PUBLICATION", PUBLICATION_REASON);
            found.record(Finding::Publication, &entry.tag, named);
        }
        "ENCODING" => found.encoding = client_encoding(text).unwrap_or_default(),
        "SECURITY LABEL" => found.skip_object("SECURITY LABEL", SECURITY_LABEL_REASON),
        "BLOB" | "BLOB METADATA" => found.record(Finding::LargeObject, "", named),
        _ => {}
    }
}

/// Calls `record` with each statement of an entry. Statements of privileges contain no literals.
fn each_statement(entry: &Entry, mut record: impl FnMut(&[u8])) {
    for line in entry.definition.split(";\n") {
        record(line.as_bytes());
    }
}

#[cfg(test)]
mod tests;
