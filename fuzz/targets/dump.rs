//! Fuzz target: any file yields a preflight report or an error, never a panic.
#![no_main]

use capydb::dump::{detect, read};
use capydb::preflight::{ALLOWED_EXTENSIONS, ImportMode, Limits, grade_dump};
use capydb::util::byte_counter::ByteCounter;
use libfuzzer_sys::fuzz_target;
use std::io::Write;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::tempfile().expect("create a temporary file");
    file.write_all(bytes).expect("write the input");
    let Ok(dump) = detect::identify(file, "input".into()) else { return };
    let Ok(contents) = read(&dump, &ByteCounter::default()) else { return };
    let extensions = ALLOWED_EXTENSIONS.map(str::to_owned).to_vec();
    let limits = Limits { storage_limit_bytes: 1 << 30, target_version: "17".into(), extensions };
    for filters_plain_sql in [false, true] {
        let report = grade_dump(
            &dump,
            &contents,
            &limits,
            &ImportMode { filters_plain_sql, recreate: true, ..ImportMode::default() },
        );
        assert_eq!(report.ok, capydb::preflight::failure(&report).is_none());
    }
});
