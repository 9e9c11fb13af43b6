//! Damaged dumps and files that are not dumps.

use crate::support::mock_http::MockServer;
use crate::{run_against, success_response, temp_dir};
use std::fs;

#[test]
fn a_file_that_is_not_a_dump_is_rejected_before_the_first_request() {
    let mock_http = MockServer::start(|mock_http, request, _| success_response(mock_http, request));
    let dir = temp_dir();
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    fs::create_dir(dir.path().join("directory")).expect("create the directory");
    fs::write(dir.path().join("directory/toc.dat"), "PGDMP").expect("write the table of contents");
    let cases: [(&str, Option<&[u8]>, i32, &str); 11] = [
        ("missing.dump", None, 4, "no such file"),
        ("directory", None, 5, "(directory format): the table of contents is truncated"),
        ("empty.dump", Some(b""), 5, "is empty"),
        ("app.tar", Some(&tar), 5, "a tar archive, not a dump"),
        ("app.sql.gz", Some(b"\x1f\x8b\x08\0\0\0"), 5, "app.sql.gz as gzip: "),
        ("app.zip", Some(b"PK\x03\x04rest"), 5, "a zip archive"),
        ("app.db", Some(b"SQLite format 3\0rest"), 5, "a SQLite database"),
        ("my.sql", Some(b"-- MySQL dump 10.13  Distrib 8\n"), 5, "a MySQL or MariaDB dump"),
        ("page.html", Some(b"<html></html>"), 5, "is a web page"),
        ("cut.dump", Some(b"PGDMP\x01\x10\x00\x04\x08\x01\x01"), 5, "the table of contents is truncated"),
        ("cut.sql", Some(b"--\n-- PostgreSQL database dump\n--\n\nSET x = 1;\n"), 5, "the dump is truncated"),
    ];
    for (name, bytes, code, message) in cases {
        let path = dir.path().join(name);
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).expect("write the file");
        }
        let ran = run_against(&mock_http, &["import", "--file", path.to_str().expect("UTF-8 path"), "--wait"])
            .fails(code, message);
        assert!(
            code == 4 || ran.stderr.contains("create a new dump") || ran.stderr.contains("pg_dump -Fc -f"),
            "{ran:#?}"
        );
    }
    assert_eq!(mock_http.lines(), Vec::<String>::new(), "no request was sent");
}
