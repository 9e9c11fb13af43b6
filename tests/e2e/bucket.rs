//! Tests of uploads to a bucket on an S3 server that verifies signatures.

use crate::object_store::{self, bucket, files};
use crate::support::fixtures::{ControlPlane, Project, put, test_dir};
use crate::support::{run, until};
use crate::uploads::{journals, write_dump};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn control_plane(endpoint: &str, secret: &str) -> ControlPlane {
    ControlPlane::start_with(
        &["--object-store", "s3://dumps/shop"],
        &object_store::variables(endpoint, secret),
        &test_dir().join("data"),
    )
}

fn import_command(
    project: &Project<'_>,
    control_plane: &ControlPlane,
    file: &Path,
    state: &Path,
    extra: &[&str],
) -> std::process::Command {
    let mut command =
        control_plane.capydb(&["import", "--recreate", "--wait", "-v", "--project", &project.slug, "--file"]);
    command.arg(file).args(extra).env("XDG_STATE_HOME", state);
    command
}

#[test]
fn dumps_are_uploaded_in_one_request_and_in_parts() {
    let ((endpoint, bucket_dir), dir) = (bucket(), test_dir());
    let control_plane = control_plane(&endpoint, "secret-canary");
    let project = control_plane.project("bucket");
    let small = dir.join("small.sql");
    std::fs::write(&small, "CREATE TABLE s (x int);\nINSERT INTO s VALUES (7);\n").expect("write file");
    run(import_command(&project, &control_plane, &small, &dir, &[])).succeeds();
    assert_eq!(project.sql("select x from s"), "7");
    let large = write_dump(&dir);
    // After an interruption the command resumes with the parts that storage lists.
    let child =
        import_command(&project, &control_plane, &large, &dir, &["--limit-rate", "12M"]).spawn().expect("spawn capydb");
    until("a part has arrived", || {
        journals(&dir)
            .first()
            .is_some_and(|path| std::fs::read_to_string(path).expect("read file").contains("\"part\":1"))
    });
    kill_process(Pid::from_child(&child), Signal::KILL).expect("send SIGKILL");
    child.wait_with_output().expect("wait for capydb");
    let output = run(import_command(&project, &control_plane, &large, &dir, &[])).succeeds();
    assert!(output.stderr.contains("Resuming upload: "), "{output:#?}");
    assert!(!format!("{output:?}").contains("canary") && !format!("{output:?}").contains("X-Amz"), "{output:#?}");
    let rows: u32 = project.sql("select count(*) from t").parse().expect("a number");
    let lines = std::fs::read_to_string(&large).expect("read file").lines().count();
    assert_eq!(rows as usize, lines - 3, "every row was imported");
    assert_eq!(files(&bucket_dir), Vec::<PathBuf>::new(), "imported dumps are deleted");
    control_plane.assert_no_leftovers();
}

#[test]
fn the_api_completes_and_aborts_a_bucket_upload() {
    let (endpoint, bucket_dir) = bucket();
    let control_plane = control_plane(&endpoint, "secret-canary");
    let project = control_plane.project("bucket");
    let uploads = format!("/v1/projects/{}/imports/uploads", project.id);
    let begin_upload = || {
        let (status, response) =
            control_plane.call("POST", &uploads, Some(&json!({ "size_bytes": (8 << 20) + 5, "parts": true })));
        assert_eq!(status, 200, "{response}");
        let upload = format!("{uploads}/{}", response["upload"]["id"].as_str().expect("an id"));
        let (status, response) =
            control_plane.call("POST", &format!("{upload}/parts"), Some(&json!({ "part_numbers": [1, 2] })));
        assert_eq!(status, 200, "{response}");
        let url = |part: usize| response["parts"][part]["upload_url"].as_str().expect("a URL").to_owned();
        (upload, url(0), url(1))
    };
    let (upload, first, second) = begin_upload();
    let (url, signature) = first.split_once("X-Amz-Signature=").expect("a signed URL");
    let forged = format!("{url}X-Amz-Signature={}{}", "0".repeat(64), &signature[64..]);
    assert_eq!(put(&forged, b"x".to_vec()).0, 403, "a wrong signature is refused");
    assert_eq!(put(&second, b"12345".to_vec()).0, 200);
    let complete =
        |parts: &Value| control_plane.call("POST", &format!("{upload}/complete"), Some(&json!({ "parts": parts })));
    let part = |number: u32| json!({ "part_number": number, "etag": null });
    let (status, response) = complete(&json!([part(1), part(2)]));
    assert_eq!((status, response["error"].as_str()), (409, Some("part 1 has not been uploaded")));
    assert_eq!(put(&first, vec![7; 4]).0, 200, "storage does not check the length of a part");
    let (status, response) = complete(&json!([part(1), part(2)]));
    assert_eq!((status, response["error"].as_str()), (409, Some("part 1 differs from the part that was sent")));
    assert_eq!(put(&first, vec![7; 8 << 20]).0, 200);
    for _ in 0..2 {
        let (status, response) = complete(&json!([part(1), part(2)]));
        assert_eq!((status, &response["upload"]["complete"]), (200, &json!(true)), "{response}");
    }
    assert_eq!(
        files(&bucket_dir).iter().map(|path| path.metadata().expect("file metadata").len()).sum::<u64>(),
        (8 << 20) + 5
    );
    // The control plane may crash between the completion in storage and its record in the database.
    control_plane.admin("capydb", "update uploads set size_bytes = null");
    let (status, response) = complete(&json!([part(1), part(2)]));
    assert_eq!((status, &response["upload"]["complete"]), (200, &json!(true)), "{response}");
    let (other, first, _) = begin_upload();
    assert_eq!(put(&first, vec![7; 8 << 20]).0, 200);
    assert_eq!(control_plane.call("DELETE", &other, None).0, 200);
    assert_eq!(control_plane.call("GET", &other, None).0, 404);
    assert_eq!(files(&bucket_dir).len(), 1, "an aborted upload leaves no parts");
}

/// The control plane may crash after it ended an upload and before it deleted the parts.
#[test]
fn an_abandoned_upload_is_removed_at_the_next_start() {
    let (endpoint, bucket_dir) = bucket();
    let control_plane = control_plane(&endpoint, "secret-canary");
    let uploads = format!("/v1/projects/{}/imports/uploads", control_plane.project("bucket").id);
    let (_, response) =
        control_plane.call("POST", &uploads, Some(&json!({ "size_bytes": (8 << 20) + 5, "parts": true })));
    let upload = format!("{uploads}/{}", response["upload"]["id"].as_str().expect("an id"));
    let (_, response) = control_plane.call("POST", &format!("{upload}/parts"), Some(&json!({ "part_numbers": [2] })));
    assert_eq!(put(response["parts"][0]["upload_url"].as_str().expect("a URL"), b"12345".to_vec()).0, 200);
    assert_eq!(files(&bucket_dir).len(), 1);
    control_plane.admin("capydb", "update uploads set touched_at = '-infinity'");
    assert_eq!(control_plane.call("GET", &upload, None).0, 404, "an abandoned upload is not found");
    let _control_plane = ControlPlane::start_with(
        &["--object-store", "s3://dumps/shop"],
        &object_store::variables(&endpoint, "secret-canary"),
        &control_plane.kill(),
    );
    until("the part is deleted", || files(&bucket_dir).is_empty());
}

#[test]
fn bucket_errors_do_not_contain_the_secret() {
    let (endpoint, _) = bucket();
    let control_plane = control_plane(&endpoint, "another-canary");
    let project = control_plane.project("bucket");
    let uploads = format!("/v1/projects/{}/imports/uploads", project.id);
    let (status, response) =
        control_plane.call("POST", &uploads, Some(&json!({ "size_bytes": 10 << 20, "parts": true })));
    assert_eq!((status, response["error"].as_str()), (500, Some("internal error; see the control plane's log")));
    let output = run(crate::support::capydb(&["dev", "--ephemeral", "--object-store", "s3://dumps"]));
    assert!(output.code == 1 && output.stderr.contains("AWS_ACCESS_KEY_ID is not set"), "{output:#?}");
}
