//! Dumps in a bucket: a server that speaks S3 and checks signatures.

use crate::object_store::{self, bucket, files};
use crate::support::fixtures::{ControlPlane, Project, open_folder, put};
use crate::support::{run, until};
use crate::uploads::{dump, journals};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn control_plane(endpoint: &str, secret: &str) -> ControlPlane {
    ControlPlane::start_with(
        &["--object-store", "s3://dumps/shop"],
        &object_store::variables(endpoint, secret),
        &open_folder().join("data"),
    )
}

fn import(
    project: &Project<'_>,
    control_plane: &ControlPlane,
    file: &Path,
    state: &Path,
    more: &[&str],
) -> std::process::Command {
    let mut command =
        control_plane.capydb(&["import", "--recreate", "--wait", "-v", "--project", &project.slug, "--file"]);
    command.arg(file).args(more).env("XDG_STATE_HOME", state);
    command
}

#[test]
fn dumps_go_through_a_bucket_at_once_and_in_parts() {
    let ((endpoint, root), folder) = (bucket(), open_folder());
    let control_plane = control_plane(&endpoint, "secret-canary");
    let project = control_plane.project("bucket");
    let small = folder.join("small.sql");
    std::fs::write(&small, "CREATE TABLE s (x int);\nINSERT INTO s VALUES (7);\n").expect("written");
    run(import(&project, &control_plane, &small, &folder, &[])).succeeds();
    assert_eq!(project.sql("select x from s"), "7");
    let large = dump(&folder);
    // Interrupted, and gone on with: storage tells which parts it has.
    let child = import(&project, &control_plane, &large, &folder, &["--limit-rate", "12M"]).spawn().expect("runs");
    until("a part has arrived", || {
        journals(&folder)
            .first()
            .is_some_and(|path| std::fs::read_to_string(path).expect("reads").contains("\"part\":1"))
    });
    kill_process(Pid::from_child(&child), Signal::KILL).expect("killed");
    child.wait_with_output().expect("gone");
    let ran = run(import(&project, &control_plane, &large, &folder, &[])).succeeds();
    assert!(ran.stderr.contains("Resuming upload: "), "{ran:#?}");
    assert!(!format!("{ran:?}").contains("canary") && !format!("{ran:?}").contains("X-Amz"), "{ran:#?}");
    let rows: u32 = project.sql("select count(*) from t").parse().expect("a number");
    let lines = std::fs::read_to_string(&large).expect("reads").lines().count();
    assert_eq!(rows as usize, lines - 3, "every row has arrived");
    assert_eq!(files(&root), Vec::<PathBuf>::new(), "dumps that were imported are gone");
    control_plane.has_no_leftovers();
}

#[test]
fn an_upload_into_a_bucket_is_completed_and_ended_by_the_api() {
    let (endpoint, root) = bucket();
    let control_plane = control_plane(&endpoint, "secret-canary");
    let project = control_plane.project("bucket");
    let uploads = format!("/v1/projects/{}/imports/uploads", project.id);
    let begin = || {
        let (status, answer) =
            control_plane.call("POST", &uploads, Some(&json!({ "size_bytes": (8 << 20) + 5, "parts": true })));
        assert_eq!(status, 200, "{answer}");
        let upload = format!("{uploads}/{}", answer["upload"]["id"].as_str().expect("an id"));
        let (status, answer) =
            control_plane.call("POST", &format!("{upload}/parts"), Some(&json!({ "part_numbers": [1, 2] })));
        assert_eq!(status, 200, "{answer}");
        let url = |part: usize| answer["parts"][part]["upload_url"].as_str().expect("a URL").to_owned();
        (upload, url(0), url(1))
    };
    let (upload, first, second) = begin();
    let (url, signature) = first.split_once("X-Amz-Signature=").expect("signed");
    let forged = format!("{url}X-Amz-Signature={}{}", "0".repeat(64), &signature[64..]);
    assert_eq!(put(&forged, b"x".to_vec()).0, 403, "the signature counts");
    assert_eq!(put(&second, b"12345".to_vec()).0, 200);
    let complete =
        |parts: &Value| control_plane.call("POST", &format!("{upload}/complete"), Some(&json!({ "parts": parts })));
    let part = |number: u32| json!({ "part_number": number, "etag": null });
    let (status, answer) = complete(&json!([part(1), part(2)]));
    assert_eq!((status, answer["error"].as_str()), (409, Some("part 1 has not been uploaded")));
    assert_eq!(put(&first, vec![7; 4]).0, 200, "storage does not know how long it should be");
    let (status, answer) = complete(&json!([part(1), part(2)]));
    assert_eq!((status, answer["error"].as_str()), (409, Some("part 1 differs from the part that was sent")));
    assert_eq!(put(&first, vec![7; 8 << 20]).0, 200);
    for _ in 0..2 {
        let (status, answer) = complete(&json!([part(1), part(2)]));
        assert_eq!((status, &answer["upload"]["complete"]), (200, &json!(true)), "{answer}");
    }
    assert_eq!(files(&root).iter().map(|path| path.metadata().expect("is there").len()).sum::<u64>(), (8 << 20) + 5);
    // Whoever completed it may have died before that was written down.
    control_plane.admin("capydb", "update uploads set size_bytes = null");
    let (status, answer) = complete(&json!([part(1), part(2)]));
    assert_eq!((status, &answer["upload"]["complete"]), (200, &json!(true)), "{answer}");
    let (other, first, _) = begin();
    assert_eq!(put(&first, vec![7; 8 << 20]).0, 200);
    assert_eq!(control_plane.call("DELETE", &other, None).0, 200);
    assert_eq!(control_plane.call("GET", &other, None).0, 404);
    assert_eq!(files(&root).len(), 1, "what was ended leaves nothing");
}

/// Whoever ended an upload may have died before its bytes were gone.
#[test]
fn an_upload_that_was_given_up_is_removed_by_the_next_start() {
    let (endpoint, root) = bucket();
    let control_plane = control_plane(&endpoint, "secret-canary");
    let uploads = format!("/v1/projects/{}/imports/uploads", control_plane.project("bucket").id);
    let (_, answer) =
        control_plane.call("POST", &uploads, Some(&json!({ "size_bytes": (8 << 20) + 5, "parts": true })));
    let upload = format!("{uploads}/{}", answer["upload"]["id"].as_str().expect("an id"));
    let (_, answer) = control_plane.call("POST", &format!("{upload}/parts"), Some(&json!({ "part_numbers": [2] })));
    assert_eq!(put(answer["parts"][0]["upload_url"].as_str().expect("a URL"), b"12345".to_vec()).0, 200);
    assert_eq!(files(&root).len(), 1);
    control_plane.admin("capydb", "update uploads set touched_at = '-infinity'");
    assert_eq!(control_plane.call("GET", &upload, None).0, 404, "nobody finds it");
    let _plane = ControlPlane::start_with(
        &["--object-store", "s3://dumps/shop"],
        &object_store::variables(&endpoint, "secret-canary"),
        &control_plane.kill(),
    );
    until("its part is gone", || files(&root).is_empty());
}

#[test]
fn a_bucket_that_cannot_be_used_is_said_without_its_secret() {
    let (endpoint, _) = bucket();
    let control_plane = control_plane(&endpoint, "another-canary");
    let project = control_plane.project("bucket");
    let uploads = format!("/v1/projects/{}/imports/uploads", project.id);
    let (status, answer) =
        control_plane.call("POST", &uploads, Some(&json!({ "size_bytes": 10 << 20, "parts": true })));
    assert_eq!((status, answer["error"].as_str()), (500, Some("internal error; see the control plane's log")));
    let ran = run(crate::support::capydb(&["dev", "--ephemeral", "--object-store", "s3://dumps"]));
    assert!(ran.code == 1 && ran.stderr.contains("AWS_ACCESS_KEY_ID is not set"), "{ran:#?}");
}
