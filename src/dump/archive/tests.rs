//! Unit tests for the archive reader.

use super::*;
use proptest::prelude::*;

/// Builds archives in the format of `pg_dump -Fc`.
struct Writer(Vec<u8>);

impl Writer {
    fn int(&mut self, value: i32) {
        self.0.push(u8::from(value < 0));
        self.0.extend(value.unsigned_abs().to_le_bytes());
    }

    fn string(&mut self, text: Option<&str>) {
        self.int(text.map_or(-1, |text| i32::try_from(text.len()).expect("a length within i32")));
        self.0.extend(text.unwrap_or_default().as_bytes());
    }

    fn strings(&mut self, texts: &[Option<&str>]) {
        for text in texts {
            self.string(*text);
        }
    }

    fn archive(minor: u8, entries: &[(&str, &str)]) -> Vec<u8> {
        let mut writer = Self(MAGIC.to_vec());
        writer.0.extend([1, minor, 0, 4, 8, 1]);
        if minor >= 15 {
            writer.0.push(1);
        } else {
            writer.int(-1);
        }
        (0..7).for_each(|n| writer.int(n));
        writer.strings(&[Some("app"), Some("15.18"), Some("17.11")]);
        writer.int(i32::try_from(entries.len()).expect("a count within i32"));
        for (number, (kind, definition)) in entries.iter().enumerate() {
            writer.int(i32::try_from(number).expect("a count within i32") + 1);
            writer.int(0);
            writer.strings(&[Some("0"), Some("0"), Some("tag"), Some(*kind)]);
            if minor >= 11 {
                writer.int(2);
            }
            writer.strings(&[Some(*definition), Some(""), None, Some("public"), Some("")]);
            if minor >= 14 {
                writer.string(Some("heap"));
            }
            if minor >= 16 {
                writer.int(114);
            }
            writer.strings(&[Some("owner"), Some("false"), Some("3"), None]);
            writer.0.push(3);
            writer.0.extend([0; 8]);
        }
        writer.0
    }
}

#[test]
fn entries_of_every_version_are_read() {
    for minor in 10..=16 {
        let bytes = Writer::archive(minor, &[("TABLE", "CREATE TABLE t ();"), ("VIEW", "CREATE VIEW v;")]);
        let mut archive = Archive::open(bytes.as_slice()).expect("a valid archive");
        assert_eq!(archive.header().server_version, "15.18");
        let first = archive.next_entry().expect("a valid archive").expect("an entry");
        assert_eq!((first.id, first.kind.as_str(), first.schema.as_str()), (1, "TABLE", "public"));
        assert_eq!(first.definition, "CREATE TABLE t ();");
        assert_eq!(archive.next_entry().expect("a valid archive").map(|entry| entry.id), Some(2));
        assert_eq!(archive.next_entry().expect("a valid archive"), None);
    }
}

#[test]
fn unsupported_headers_are_rejected() {
    assert!(matches!(Archive::open(&b"CREATE TABLE"[..]), Err(ArchiveError::NotAnArchive)));
    assert!(matches!(Archive::open(&b"PGDMP\x01\x63\0\x04\x08\x01"[..]), Err(ArchiveError::Version(1, 99))));
}

fn read_all(bytes: &[u8]) -> Result<usize, ArchiveError> {
    let mut archive = Archive::open(bytes)?;
    let mut entries = 0;
    while archive.next_entry()?.is_some() {
        entries += 1;
    }
    Ok(entries)
}

proptest! {
    #[test]
    fn a_truncated_archive_is_always_detected(minor in 10_u8..=16, fraction in 0.0..1.0) {
        let bytes = Writer::archive(minor, &[("TABLE", "CREATE TABLE t ();"), ("VIEW", "x")]);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a few hundred bytes")]
        let length = (bytes.len() as f64 * fraction) as usize;
        prop_assert!(matches!(read_all(&bytes[..length]), Err(ArchiveError::CutOff)));
    }

    #[test]
    fn a_corrupt_byte_never_panics(offset in 11_usize..300, byte: u8) {
        let mut bytes = Writer::archive(16, &[("TABLE", "CREATE TABLE t ();"), ("VIEW", "x")]);
        let offset = offset % bytes.len();
        bytes[offset] = byte;
        let _ = read_all(&bytes);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_all(&bytes);
        let _ = read_all(&[b"PGDMP\x01\x10\0\x04\x08\x01".as_slice(), &bytes].concat());
    }
}
