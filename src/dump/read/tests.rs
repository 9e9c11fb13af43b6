//! Unit tests for the reading of dumps.

use super::*;
use crate::dump::detect;
use proptest::prelude::*;
use std::io::Write;

/// Small dumps created by pg_dump 15, 17 and 18, which are also the seeds of the fuzzer.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds");
    let files = std::fs::read_dir(dir).expect("a readable directory").flatten();
    let mut dumps: Vec<_> = files
        .map(|file| {
            (file.file_name().to_string_lossy().into_owned(), std::fs::read(file.path()).expect("a readable file"))
        })
        .collect();
    dumps.sort();
    dumps
}

fn contents_of_bytes(bytes: &[u8]) -> Result<Contents, DumpError> {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("a writable file");
    read(&detect::identify(file, "app.dump".into())?, &ByteCounter::default())
}

#[test]
fn what_follows_an_archive_is_found() {
    let is_whole = |name: &str| name.ends_with("custom.dump") || name.ends_with("piped.dump");
    for (name, bytes) in corpus().into_iter().filter(|(name, _)| is_whole(name)) {
        let truncated = |bytes: &[u8]| contents_of_bytes(bytes).expect("a readable archive").truncated;
        assert_eq!(truncated(&bytes), None, "{name}");
        assert_eq!(truncated(&[&bytes[..], b"\0\x15\0\0\0\0"].concat()), None, "{name}: a second table of contents");
        for (more, expected) in [(&bytes[..], "a second archive"), (b"\0\0\0\0", "zeros")] {
            let why = truncated(&[&bytes[..], more].concat()).expect("a problem");
            assert!(why.contains(expected), "{name}: {why}");
        }
        let why = truncated(&bytes[..bytes.len() - 1]).expect("a problem");
        assert!(why.contains("end of the last table"), "{name}: {why}");
    }
}

#[test]
fn real_dumps_have_the_same_contents_in_every_format() {
    for (name, bytes) in corpus() {
        let contents = contents_of_bytes(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        if name.contains("all") {
            assert!(contents.whole_server, "{name}");
            continue;
        }
        assert_eq!(
            (contents.number("tables"), contents.number("indexes"), contents.number("views")),
            (2, 1, 1),
            "{name}"
        );
        assert_eq!(contents.extensions.len(), 1, "{name}");
        assert_eq!(contents.truncated, None, "{name}");
        assert_eq!(contents.times(Finding::PlatformKey), 1, "{name}");
        assert!(contents.server_version.starts_with(&name[..2]), "{name}: {}", contents.server_version);
        if contents.format == Format::Plain {
            assert_eq!(contents.rows, Some(4), "{name}");
        }
    }
}

#[test]
fn a_truncated_real_dump_is_never_complete() {
    for (name, bytes) in corpus() {
        // The last bytes follow the data; their loss does not matter.
        let end = if name.contains("dump") || name.ends_with("gz") { 1 } else { 1100 };
        for length in (0..bytes.len().saturating_sub(end)).step_by(97) {
            let complete = contents_of_bytes(&bytes[..length])
                .is_ok_and(|contents| contents.truncated.is_none() && contents.unfinished.is_none());
            assert!(!complete || name.contains("all"), "{name} truncated to {length} of {} bytes", bytes.len());
        }
    }
}

proptest! {
    #[test]
    fn a_corrupt_byte_in_a_real_dump_never_panics(index: usize, offset: usize, byte: u8) {
        let dumps = corpus();
        let mut bytes = dumps[index % dumps.len()].1.clone();
        let offset = offset % bytes.len();
        bytes[offset] = byte;
        let _ = contents_of_bytes(&bytes);
    }
}
