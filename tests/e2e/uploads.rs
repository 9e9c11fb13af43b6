//! Uploads in parts: what the API answers, and how the command goes on with what has arrived.

use crate::support::fault_proxy::{Fault, Line};
use crate::support::fixtures::{call, control_plane, open_folder, put};
use crate::support::{Ran, capydb, run, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Three parts of 8 MiB, the last one shorter.
const SIZE: usize = 20 << 20;

pub(crate) fn dump(folder: &Path) -> PathBuf {
    let mut text = "CREATE TABLE t (x text);\nCOPY t FROM stdin;\n".to_owned();
    let mut number = 3_u64;
    while text.len() < SIZE - 100 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        writeln!(text, "{number:016x}").expect("writes");
    }
    let path = folder.join("app.sql");
    std::fs::write(&path, text + "\\.\n").expect("written");
    path
}

fn import(line: &Line, state: &Path, file: &Path, arguments: &[&str]) -> Command {
    let mut command = capydb(&["import", "--project", "dev", "--file"]);
    command.arg(file).args(arguments).env("XDG_STATE_HOME", state);
    command.env("CAPYDB_API_URL", format!("http://{}/api/capydb", line.address));
    command.env("CAPYDB_API_KEY", &control_plane().api_key);
    command
}

/// Runs until the first part has arrived, then interrupts.
fn interrupted(line: &Line, state: &Path, file: &Path) -> Ran {
    let command = &mut import(line, state, file, &["--limit-rate", "12M"]);
    let child = command.spawn().expect("runs");
    until("a part has arrived", || {
        journals(state).first().is_some_and(|path| std::fs::read_to_string(path).expect("reads").contains("\"part\":1"))
    });
    kill_process(Pid::from_child(&child), Signal::INT).expect("interrupted");
    Ran::of(&child.wait_with_output().expect("ends"))
}

pub(crate) fn journals(state: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(state.join("capydb").join("uploads"));
    entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn stored(line: &Line) -> Vec<u8> {
    let key = line.started().expect("an import was started");
    std::fs::read(control_plane().data_dir.join("objects").join(key.replace('/', ""))).expect("is there")
}

#[test]
fn an_interrupted_upload_goes_on_and_a_finished_one_is_not_repeated() {
    let (folder, line) = (open_folder(), Line::to(&control_plane().address(), &[]));
    let file = dump(&folder);
    interrupted(&line, &folder, &file).fails(130, "hint: run the same command again to resume the upload");
    let [journal] = &*journals(&folder) else { panic!("one journal") };
    let text = std::fs::read_to_string(journal).expect("reads");
    assert_eq!(std::fs::metadata(journal).expect("is there").permissions().mode() & 0o777, 0o600);
    assert!(!text.contains("signature") && !text.contains(&control_plane().api_key), "{text}");
    let ran = run(import(&line, &folder, &file, &[])).succeeds();
    assert!(ran.stderr.contains("Resuming upload: ") && ran.stderr.contains("Uploaded the remaining "), "{ran:#?}");
    assert!(line.uploads() <= 3 + 2, "at most those in flight are sent again: {}", line.uploads());
    assert!(stored(&line) == std::fs::read(&file).expect("reads"));
    // Until an import has used it, the same command finds it.
    let sent = line.uploads();
    let ran = run(import(&line, &folder, &file, &[])).succeeds();
    assert!(ran.stderr.contains("The dump was already uploaded by an earlier run"), "{ran:#?}");
    assert_eq!(line.uploads(), sent);
    let ran = run(import(&line, &folder, &file, &["--no-resume"])).succeeds();
    assert!(!ran.stderr.contains("already"), "{ran:#?}");
    assert_eq!(line.uploads(), sent + 3);
}

#[test]
fn another_dump_of_the_same_name_starts_anew() {
    let (folder, line) = (open_folder(), Line::to(&control_plane().address(), &[]));
    let file = dump(&folder);
    interrupted(&line, &folder, &file).fails(130, "the upload was stopped");
    let mut longer = std::fs::OpenOptions::new().append(true).open(&file).expect("opens");
    longer.write_all(b"-- one line more\n").expect("grows");
    drop(longer);
    let ran = run(import(&line, &folder, &file, &[])).succeeds();
    assert!(ran.stderr.contains("Cannot resume the earlier upload: the dump has changed"), "{ran:#?}");
    assert!(stored(&line) == std::fs::read(&file).expect("reads"));
}

#[test]
fn a_compressed_dump_goes_on_too() {
    let (folder, line) = (open_folder(), Line::to(&control_plane().address(), &[]));
    let plain = dump(&folder);
    let packed = folder.join("app.sql.gz");
    let mut writer =
        flate2::write::GzEncoder::new(std::fs::File::create(&packed).expect("made"), flate2::Compression::fast());
    writer.write_all(&std::fs::read(&plain).expect("reads")).expect("packs");
    writer.finish().expect("packs");
    interrupted(&line, &folder, &packed).fails(130, "run the same command again to resume the upload");
    let ran = run(import(&line, &folder, &packed, &[])).succeeds();
    assert!(ran.stderr.contains("Resuming upload"), "{ran:#?}");
    assert!(stored(&line) == std::fs::read(&plain).expect("reads"));
}

#[test]
fn a_dump_that_is_replaced_while_it_is_sent_is_refused() {
    let (folder, line) = (open_folder(), Line::to(&control_plane().address(), &[Fault::Slow(300); 9]));
    let file = dump(&folder);
    let child = import(&line, &folder, &file, &[]).spawn().expect("runs");
    until("parts are sent", || line.uploads() > 0);
    let other = folder.join("other.sql");
    std::fs::copy(&file, &other).expect("copied");
    std::fs::rename(other, &file).expect("replaced");
    Ran::of(&child.wait_with_output().expect("ends")).fails(5, "the dump was replaced by another file");
    assert_eq!(line.started(), None);
    assert!(journals(&folder).is_empty(), "there is nothing to go on with");
}

#[test]
fn a_whole_import_leaves_no_journal() {
    let folder = open_folder();
    let (file, project) = (dump(&folder), control_plane().project("in parts"));
    let mut command = control_plane().capydb(&["import", "--recreate", "--wait", "--project", &project.slug, "--file"]);
    command.arg(&file).env("XDG_STATE_HOME", &folder);
    let ran = run(command).succeeds();
    assert!(ran.stdout.contains("rows"), "{ran:#?}");
    assert!(project.sql("select count(*) from t").parse::<u32>().expect("a number") > 1_000_000);
    assert!(journals(&folder).is_empty());
}

struct InParts {
    path: String,
}

impl InParts {
    fn begin(size: usize) -> Self {
        let project = control_plane().call("GET", "/v1/projects", None).1["projects"][0]["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let uploads = format!("/v1/projects/{project}/imports/uploads");
        let (status, answer) =
            control_plane().call("POST", &uploads, Some(&json!({ "size_bytes": size, "parts": true })));
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["upload"]["part_size_bytes"], 8 << 20);
        Self { path: format!("{uploads}/{}", answer["upload"]["id"].as_str().expect("an id")) }
    }

    fn call(&self, method: &str, rest: &str, body: &Value) -> (u16, Value) {
        control_plane().call(method, &format!("{}{rest}", self.path), Some(body).filter(|body| !body.is_null()))
    }

    fn url(&self, part: u32) -> String {
        let (status, answer) = self.call("POST", "/parts", &json!({ "part_numbers": [part] }));
        assert_eq!(status, 200, "{answer}");
        answer["parts"][0]["upload_url"].as_str().expect("a URL").to_owned()
    }

    fn arrived(&self) -> Vec<Value> {
        self.call("GET", "", &Value::Null).1["upload"]["parts"].as_array().expect("a list").clone()
    }
}

#[test]
fn parts_are_taken_as_they_were_announced() {
    let upload = InParts::begin((8 << 20) + 5);
    assert_eq!(put(&upload.url(2), b"12345".to_vec()).0, 200);
    assert_eq!(put(&upload.url(2), b"123456".to_vec()).0, 400, "too long");
    assert_eq!(put(&upload.url(1), b"12345".to_vec()).0, 400, "too short");
    assert_eq!(put(&upload.url(1).replace("part=1&", "part=2&"), b"12345".to_vec()).0, 403, "signed for another part");
    assert_eq!(put(&upload.url(1).replace("part=1&", ""), b"x".to_vec()).0, 403, "signed for a part");
    let (status, answer) = upload.call("POST", "/parts", &json!({ "part_numbers": [1, 3] }));
    assert_eq!((status, answer["error"].as_str()), (400, Some("request at most 100 parts at once, numbered 1 to 2")));
    let parts = upload.arrived();
    assert_eq!((parts.len(), &parts[0]["part_number"], &parts[0]["size_bytes"]), (1, &json!(2), &json!(5)));
    let (status, answer) = upload.call("POST", "/complete", &json!({ "parts": parts }));
    assert_eq!((status, answer["error"].as_str()), (409, Some("part 1 has not been uploaded")));
    assert_eq!(put(&upload.url(1), vec![7; 8 << 20]).0, 200);
    let mut parts = upload.arrived();
    parts[1]["checksum_crc64nvme"] = json!("AAAAAAAAAAA=");
    let (status, answer) = upload.call("POST", "/complete", &json!({ "parts": parts }));
    assert_eq!((status, answer["error"].as_str()), (409, Some("part 2 differs from the part that was sent")));
    let twice = [upload.arrived(), upload.arrived()].concat();
    assert_eq!(upload.call("POST", "/complete", &json!({ "parts": twice })).0, 400);
    for _ in 0..2 {
        let (status, answer) = upload.call("POST", "/complete", &json!({ "parts": upload.arrived() }));
        assert_eq!((status, &answer["upload"]["complete"]), (200, &json!(true)), "{answer}");
    }
    assert_eq!(upload.call("DELETE", "", &Value::Null).0, 409, "it is complete");
    assert_eq!(upload.call("POST", "/parts", &json!({ "part_numbers": [1] })).0, 409);
}

#[test]
fn an_upload_that_is_ended_is_gone() {
    let upload = InParts::begin(SIZE);
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
fn who_asks_as_ever_gets_a_slot_as_ever() {
    let project =
        control_plane().call("GET", "/v1/projects", None).1["projects"][0]["id"].as_str().expect("an id").to_owned();
    let uploads = format!("/v1/projects/{project}/imports/uploads");
    for body in
        [None, Some(json!({})), Some(json!({ "size_bytes": 1 << 30 })), Some(json!({ "size_bytes": 5, "parts": true }))]
    {
        let (status, answer) = control_plane().call("POST", &uploads, body.as_ref());
        assert_eq!(status, 200, "{answer}");
        assert!(answer["upload"]["upload_url"].is_string() && answer["upload"]["id"].is_null(), "{answer}");
    }
    for body in [json!([]), json!({ "size_bytes": -1 }), json!({ "size_bytes": "x" })] {
        assert_eq!(control_plane().call("POST", &uploads, Some(&body)).0, 400, "{body}");
    }
    let (status, answer) =
        control_plane().call("POST", &uploads, Some(&json!({ "size_bytes": u64::MAX, "parts": true })));
    assert_eq!(status, 413, "{answer}");
    let fake_postgres = call("POST", &format!("{}{uploads}", control_plane().api_url), "capy_live_no", None);
    assert_eq!(fake_postgres.0, 401);
}
