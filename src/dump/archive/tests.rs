//! Tests of the archive reader.

use super::*;
use proptest::prelude::*;

/// Writes archives in the format of `pg_dump`.
struct Writer(Vec<u8>);

impl Writer {
    fn int(&mut self, value: i32) {
        self.0.push(u8::from(value < 0));
        self.0.extend(value.unsigned_abs().to_le_bytes());
    }

    fn string(&mut self, text: Option<&str>) {
        self.int(text.map_or(-1, |text| i32::try_from(text.len()).expect("short")));
        self.0.extend(text.unwrap_or_default().as_bytes());
    }

    fn strings(&mut self, texts: &[Option<&str>]) {
        for text in texts {
            self.string(*text);
        }
    }

    fn archive(minor: u8, entries: &[(&str, &str)]) -> Vec<u8> {
        let mut w = Self(MAGIC.to_vec());
        w.0.extend([1, minor, 0, 4, 8, 1]);
        if minor >= 15 {
            w.0.push(1);
        } else {
            w.int(-1);
        }
        (0..7).for_each(|n| w.int(n));
        w.strings(&[Some("app"), Some("15.18"), Some("17.11")]);
        w.int(i32::try_from(entries.len()).expect("few"));
        for (number, (kind, definition)) in entries.iter().enumerate() {
            w.int(i32::try_from(number).expect("few") + 1);
            w.int(0);
            w.strings(&[Some("0"), Some("0"), Some("tag"), Some(*kind)]);
            if minor >= 11 {
                w.int(2);
            }
            w.strings(&[Some(*definition), Some(""), None, Some("public"), Some("")]);
            if minor >= 14 {
                w.string(Some("heap"));
            }
            if minor >= 16 {
                w.int(114);
            }
            w.strings(&[Some("owner"), Some("false"), Some("3"), None]);
            w.0.push(3);
            w.0.extend([0; 8]);
        }
        w.0
    }
}

#[test]
fn reads_every_version() {
    for minor in 10..=16 {
        let bytes = Writer::archive(minor, &[("TABLE", "CREATE TABLE t ();"), ("VIEW", "CREATE VIEW v;")]);
        let mut archive = Archive::open(bytes.as_slice()).expect("opens");
        assert_eq!(archive.header().server_version, "15.18");
        let first = archive.next_entry().expect("reads").expect("an entry");
        assert_eq!((first.id, first.kind.as_str(), first.schema.as_str()), (1, "TABLE", "public"));
        assert_eq!(first.definition, "CREATE TABLE t ();");
        assert_eq!(archive.next_entry().expect("reads").map(|entry| entry.id), Some(2));
        assert_eq!(archive.next_entry().expect("reads"), None);
    }
}

#[test]
fn errors_are_named() {
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
    fn a_cut_is_always_seen(minor in 10_u8..=16, cut in 0.0..1.0) {
        let whole = Writer::archive(minor, &[("TABLE", "CREATE TABLE t ();"), ("VIEW", "x")]);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a few hundred bytes")]
        let at = (whole.len() as f64 * cut) as usize;
        prop_assert!(matches!(read_all(&whole[..at]), Err(ArchiveError::CutOff)));
    }

    #[test]
    fn damage_never_panics(place in 11_usize..300, byte: u8) {
        let mut bytes = Writer::archive(16, &[("TABLE", "CREATE TABLE t ();"), ("VIEW", "x")]);
        let place = place % bytes.len();
        bytes[place] = byte;
        let _ = read_all(&bytes);
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_all(&noise);
        let _ = read_all(&[b"PGDMP\x01\x10\0\x04\x08\x01".as_slice(), &noise].concat());
    }
}
