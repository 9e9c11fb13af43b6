//! Dumps that are damaged, unusual or not dumps at all.

use crate::support::mock_http::Peer;
use crate::{against, folder, works};
use std::fs;

/// Files that are no dumps are told before anything is asked.
#[test]
fn what_is_no_dump_is_named_before_the_network() {
    let mock_http = Peer::start(|mock_http, request, _| works(mock_http, request));
    let folder = folder();
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    fs::create_dir(folder.path().join("directory")).expect("made");
    fs::write(folder.path().join("directory/toc.dat"), "PGDMP").expect("written");
    let cases: [(&str, Option<&[u8]>, i32, &str); 11] = [
        ("missing.dump", None, 1, "No such file"),
        ("directory", None, 5, "(directory format): the table of contents is truncated"),
        ("empty.dump", Some(b""), 5, "is empty"),
        ("app.tar", Some(&tar), 5, "a tar archive, not a dump"),
        ("app.sql.gz", Some(b"\x1f\x8b\x08\0\0\0"), 5, "app.sql.gz as gzip: "),
        ("app.zip", Some(b"PK\x03\x04rest"), 5, "a zip archive"),
        ("app.db", Some(b"SQLite format 3\0rest"), 5, "a SQLite database"),
        ("my.sql", Some(b"-- MySQL dump 10.13  Distrib 8\n"), 5, "a MySQL or MariaDB dump"),
        ("page.html", Some(b"<html></html>"), 5, "is text, but not SQL"),
        ("cut.dump", Some(b"PGDMP\x01\x10\x00\x04\x08\x01\x01"), 5, "the table of contents is truncated"),
        ("cut.sql", Some(b"--\n-- PostgreSQL database dump\n--\n\nSET x = 1;\n"), 5, "the dump is truncated"),
    ];
    for (name, bytes, code, words) in cases {
        let path = folder.path().join(name);
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).expect("written");
        }
        let ran =
            against(&mock_http, &["import", "--file", path.to_str().expect("a path"), "--wait"]).fails(code, words);
        assert!(code == 1 || ran.stderr.contains("dump again") || ran.stderr.contains("pg_dump -Fc -f"), "{ran:#?}");
    }
    assert_eq!(mock_http.lines(), Vec::<String>::new(), "nothing was asked");
}
