//! Tests of multipart uploads: the API's responses, and how the command resumes an upload.

use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::fixtures::{call, control_plane, put, test_dir};
use crate::support::{Ran, capydb, run, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Three parts of 8 MiB, the last one shorter.
const SIZE: usize = 20 << 20;

pub(crate) fn write_dump(dir: &Path) -> PathBuf {
    let mut text = "CREATE TABLE t (x text);\nCOPY t FROM stdin;\n".to_owned();
    let mut number = 3_u64;
    while text.len() < SIZE - 100 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        writeln!(text, "{number:016x}").expect("format number");
    }
    let path = dir.join("app.sql");
    std::fs::write(&path, text + "\\.\n").expect("write file");
    path
}

fn import_command(proxy: &FaultProxy, state: &Path, file: &Path, arguments: &[&str]) -> Command {
    let mut command = capydb(&["import", "--project", &project_of(proxy), "--file"]);
    command.arg(file).args(arguments).env("XDG_STATE_HOME", state);
    command.env("CAPYDB_API_URL", format!("http://{}/api/capydb", proxy.address));
    command.env("CAPYDB_API_KEY", &control_plane().api_key);
    command
}

/// Each test has a project of its own, because a project runs one import at a time.
fn project_of(proxy: &FaultProxy) -> String {
    static CREATED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let slug = format!("uploads-{}", proxy.address.rsplit(':').next().expect("a port"));
    if CREATED.lock().expect("not poisoned").insert(slug.clone()) {
        control_plane().project(&slug);
    }
    slug
}

/// Interrupts an import after its first part has arrived.
fn run_interrupted(proxy: &FaultProxy, state: &Path, file: &Path) -> Ran {
    let command = &mut import_command(proxy, state, file, &["--limit-rate", "12M"]);
    let child = command.spawn().expect("spawn capydb");
    until("a part has arrived", || {
        journals(state)
            .first()
            .is_some_and(|path| std::fs::read_to_string(path).expect("read file").contains("\"part\":1"))
    });
    kill_process(Pid::from_child(&child), Signal::INT).expect("send SIGINT");
    Ran::of(&child.wait_with_output().expect("wait for capydb"))
}

pub(crate) fn journals(state: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(state.join("capydb").join("uploads"));
    entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn stored_object(proxy: &FaultProxy) -> Vec<u8> {
    let key = proxy.imported_key().expect("an import was started");
    std::fs::read(control_plane().data_dir.join("objects").join(key.replace('/', ""))).expect("read object")
}

#[test]
fn an_interrupted_upload_resumes_and_a_finished_one_is_reused() {
    let (dir, proxy) = (test_dir(), FaultProxy::to(&control_plane().address(), &[]));
    let file = write_dump(&dir);
    run_interrupted(&proxy, &dir, &file).fails(130, "hint: run the same command again to resume the upload");
    let [journal] = &*journals(&dir) else { panic!("expected one journal") };
    let journal_text = std::fs::read_to_string(journal).expect("read file");
    assert_eq!(std::fs::metadata(journal).expect("file metadata").permissions().mode() & 0o777, 0o600);
    assert!(!journal_text.contains("signature") && !journal_text.contains(&control_plane().api_key), "{journal_text}");
    let output = run(import_command(&proxy, &dir, &file, &[])).succeeds();
    assert!(
        output.stderr.contains("Resuming upload: ") && output.stderr.contains("Uploaded the remaining "),
        "{output:#?}"
    );
    assert!(proxy.uploads() <= 3 + 2, "at most the parts in flight are sent again: {}", proxy.uploads());
    assert!(stored_object(&proxy) == std::fs::read(&file).expect("read file"));
    // The same command reuses a complete upload until an import has used it.
    let uploads_before = proxy.uploads();
    let output = run(import_command(&proxy, &dir, &file, &[])).succeeds();
    assert!(output.stderr.contains("The dump was already uploaded by an earlier run"), "{output:#?}");
    assert_eq!(proxy.uploads(), uploads_before);
    let output = run(import_command(&proxy, &dir, &file, &["--no-resume"])).succeeds();
    assert!(!output.stderr.contains("already"), "{output:#?}");
    assert_eq!(proxy.uploads(), uploads_before + 3);
}

#[test]
fn a_changed_dump_of_the_same_name_is_uploaded_again() {
    let (dir, proxy) = (test_dir(), FaultProxy::to(&control_plane().address(), &[]));
    let file = write_dump(&dir);
    run_interrupted(&proxy, &dir, &file).fails(130, "the upload was stopped");
    let mut appended = std::fs::OpenOptions::new().append(true).open(&file).expect("open file");
    appended.write_all(b"-- one line more\n").expect("append to file");
    drop(appended);
    let output = run(import_command(&proxy, &dir, &file, &[])).succeeds();
    assert!(output.stderr.contains("Cannot resume the earlier upload: the dump has changed"), "{output:#?}");
    assert!(stored_object(&proxy) == std::fs::read(&file).expect("read file"));
}

#[test]
fn an_upload_of_a_compressed_dump_resumes() {
    let (dir, proxy) = (test_dir(), FaultProxy::to(&control_plane().address(), &[]));
    let plain = write_dump(&dir);
    let compressed = dir.join("app.sql.gz");
    let mut writer = flate2::write::GzEncoder::new(
        std::fs::File::create(&compressed).expect("create file"),
        flate2::Compression::fast(),
    );
    writer.write_all(&std::fs::read(&plain).expect("read file")).expect("compress");
    writer.finish().expect("compress");
    run_interrupted(&proxy, &dir, &compressed).fails(130, "run the same command again to resume the upload");
    let output = run(import_command(&proxy, &dir, &compressed, &[])).succeeds();
    assert!(output.stderr.contains("Resuming upload"), "{output:#?}");
    assert!(stored_object(&proxy) == std::fs::read(&plain).expect("read file"));
}

#[test]
fn a_dump_replaced_during_its_upload_is_refused() {
    let (dir, proxy) = (test_dir(), FaultProxy::to(&control_plane().address(), &[Fault::Slow(300); 9]));
    let file = write_dump(&dir);
    let child = import_command(&proxy, &dir, &file, &[]).spawn().expect("spawn capydb");
    until("parts are sent", || proxy.uploads() > 0);
    let replacement = dir.join("other.sql");
    std::fs::copy(&file, &replacement).expect("copy file");
    std::fs::rename(replacement, &file).expect("rename file");
    Ran::of(&child.wait_with_output().expect("wait for capydb")).fails(5, "the dump was replaced by another file");
    assert_eq!(proxy.imported_key(), None);
    assert!(journals(&dir).is_empty(), "no journal is left to resume from");
}

#[test]
fn a_completed_import_leaves_no_journal() {
    let dir = test_dir();
    let (file, project) = (write_dump(&dir), control_plane().project("in parts"));
    let mut command = control_plane().capydb(&["import", "--recreate", "--wait", "--project", &project.slug, "--file"]);
    command.arg(&file).env("XDG_STATE_HOME", &dir);
    let output = run(command).succeeds();
    assert!(output.stdout.contains("rows"), "{output:#?}");
    assert!(project.sql("select count(*) from t").parse::<u32>().expect("a number") > 1_000_000);
    assert!(journals(&dir).is_empty());
}

struct MultipartUpload {
    path: String,
}

impl MultipartUpload {
    fn start(size: usize) -> Self {
        let project = control_plane().call("GET", "/v1/projects", None).1["projects"][0]["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let uploads = format!("/v1/projects/{project}/imports/uploads");
        let (status, response) =
            control_plane().call("POST", &uploads, Some(&json!({ "size_bytes": size, "parts": true })));
        assert_eq!(status, 200, "{response}");
        assert_eq!(response["upload"]["part_size_bytes"], 8 << 20);
        Self { path: format!("{uploads}/{}", response["upload"]["id"].as_str().expect("an id")) }
    }

    fn call(&self, method: &str, rest: &str, body: &Value) -> (u16, Value) {
        control_plane().call(method, &format!("{}{rest}", self.path), Some(body).filter(|body| !body.is_null()))
    }

    fn url(&self, part: u32) -> String {
        let (status, response) = self.call("POST", "/parts", &json!({ "part_numbers": [part] }));
        assert_eq!(status, 200, "{response}");
        response["parts"][0]["upload_url"].as_str().expect("a URL").to_owned()
    }

    fn stored_parts(&self) -> Vec<Value> {
        self.call("GET", "", &Value::Null).1["upload"]["parts"].as_array().expect("a list").clone()
    }
}

#[test]
fn parts_must_match_the_announced_sizes_and_numbers() {
    let upload = MultipartUpload::start((8 << 20) + 5);
    assert_eq!(put(&upload.url(2), b"12345".to_vec()).0, 200);
    assert_eq!(put(&upload.url(2), b"123456".to_vec()).0, 400, "too long");
    assert_eq!(put(&upload.url(1), b"12345".to_vec()).0, 400, "too short");
    assert_eq!(put(&upload.url(1).replace("part=1&", "part=2&"), b"12345".to_vec()).0, 403, "signed for another part");
    assert_eq!(put(&upload.url(1).replace("part=1&", ""), b"x".to_vec()).0, 403, "signed for a part");
    let (status, response) = upload.call("POST", "/parts", &json!({ "part_numbers": [1, 3] }));
    assert_eq!((status, response["error"].as_str()), (400, Some("request at most 100 parts at once, numbered 1 to 2")));
    let parts = upload.stored_parts();
    assert_eq!((parts.len(), &parts[0]["part_number"], &parts[0]["size_bytes"]), (1, &json!(2), &json!(5)));
    let (status, response) = upload.call("POST", "/complete", &json!({ "parts": parts }));
    assert_eq!((status, response["error"].as_str()), (409, Some("part 1 has not been uploaded")));
    assert_eq!(put(&upload.url(1), vec![7; 8 << 20]).0, 200);
    let mut parts = upload.stored_parts();
    parts[1]["checksum_crc64nvme"] = json!("AAAAAAAAAAA=");
    let (status, response) = upload.call("POST", "/complete", &json!({ "parts": parts }));
    assert_eq!((status, response["error"].as_str()), (409, Some("part 2 differs from the part that was sent")));
    let twice = [upload.stored_parts(), upload.stored_parts()].concat();
    assert_eq!(upload.call("POST", "/complete", &json!({ "parts": twice })).0, 400);
    for _ in 0..2 {
        let (status, response) = upload.call("POST", "/complete", &json!({ "parts": upload.stored_parts() }));
        assert_eq!((status, &response["upload"]["complete"]), (200, &json!(true)), "{response}");
    }
    assert_eq!(upload.call("DELETE", "", &Value::Null).0, 409, "a complete upload cannot be aborted");
    assert_eq!(upload.call("POST", "/parts", &json!({ "part_numbers": [1] })).0, 409);
}

#[test]
fn an_aborted_upload_is_deleted() {
    let upload = MultipartUpload::start(SIZE);
    let url = upload.url(1);
    assert_eq!(put(&url, vec![7; 8 << 20]).0, 200);
    assert_eq!(upload.call("DELETE", "", &Value::Null).0, 200);
    for (method, rest) in [("GET", ""), ("DELETE", ""), ("POST", "/complete")] {
        let body = if rest.is_empty() { Value::Null } else { json!({ "parts": [] }) };
        assert_eq!(upload.call(method, rest, &body).0, 404, "{method} {rest}");
    }
    assert_eq!(put(&url, b"x".to_vec()).0, 404);
    let id = upload.path.rsplit('/').next().expect("an id");
    assert!(!control_plane().data_dir.join("uploads").join(format!("imports{id}.dump")).exists());
    assert_eq!(control_plane().call("GET", &upload.path.replace(id, "%00"), None).0, 404);
}

#[test]
fn a_small_or_unsplit_upload_gets_a_plain_slot() {
    let project =
        control_plane().call("GET", "/v1/projects", None).1["projects"][0]["id"].as_str().expect("an id").to_owned();
    let uploads = format!("/v1/projects/{project}/imports/uploads");
    for body in
        [None, Some(json!({})), Some(json!({ "size_bytes": 1 << 30 })), Some(json!({ "size_bytes": 5, "parts": true }))]
    {
        let (status, response) = control_plane().call("POST", &uploads, body.as_ref());
        assert_eq!(status, 200, "{response}");
        assert!(response["upload"]["upload_url"].is_string() && response["upload"]["id"].is_null(), "{response}");
    }
    for body in [json!([]), json!({ "size_bytes": -1 }), json!({ "size_bytes": "x" })] {
        assert_eq!(control_plane().call("POST", &uploads, Some(&body)).0, 400, "{body}");
    }
    let (status, response) =
        control_plane().call("POST", &uploads, Some(&json!({ "size_bytes": u64::MAX, "parts": true })));
    assert_eq!(status, 413, "{response}");
    let unauthenticated = call("POST", &format!("{}{uploads}", control_plane().api_url), "capy_live_no", None);
    assert_eq!(unauthenticated.0, 401);
}
