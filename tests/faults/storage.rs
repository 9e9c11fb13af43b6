//! Storage and the line to it fail in every way at every moment of an upload. What is stored in
//! the end is what was sent, or the command says why not, and nothing is started.

use crate::support::fault_proxy::{Fault, Line};
use crate::support::fixtures::ControlPlane;
use crate::support::mock_http::{Answer, Peer};
use crate::support::{Ran, capydb, run};
use crate::{KEY, works};
use md5::{Digest, Md5};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What becomes of an upload.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The object is there.
    Stored,
    /// Exit code and words.
    Fails(i32, &'static str),
}

use End::{Fails, Stored};
use Fault::{
    Close, CutAnswer, Early, Flip, Garbage, Late, LostAnswer, NoContinue, Refused, Reset, Silence, Slow, Stall,
    Truncate,
};

const EXPIRED: &str = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
const AGAIN: &str = "Retry-After: 0";
const NONE: &str = "X: y";
/// Bytes of the dump: three parts, and larger than what the system buffers.
const SIZE: u64 = 20 << 20;
const MIDDLE: u64 = 7 << 20;

/// Each case with what becomes of it when the dump is sent at once, and in parts.
fn cases() -> Vec<(&'static str, Vec<Fault>, End, End)> {
    let always = |fault: Fault| vec![fault; 30];
    let stored = |name, faults: Vec<Fault>| (name, faults, Stored, Stored);
    let fails = |name, faults: Vec<Fault>, code, words| (name, faults, Fails(code, words), Fails(code, words));
    vec![
        stored("nothing", vec![]),
        stored("refused connection", vec![Refused]),
        stored("reset before the body", vec![Reset(0)]),
        stored("reset at the first byte", vec![Reset(1)]),
        stored("reset in the middle", vec![Reset(MIDDLE)]),
        stored("reset at the last byte", vec![Reset(SIZE - 1)]),
        stored("closed before the body", vec![Close(0)]),
        stored("closed in the middle", vec![Close(MIDDLE)]),
        stored("closed near the end", vec![Close(SIZE - 1)]),
        stored("reset twice", vec![Reset(MIDDLE), Reset(100)]),
        stored("stalls at the first byte", vec![Stall(0)]),
        stored("stalls in the middle", vec![Stall(MIDDLE)]),
        stored("stalls, then resets", vec![Stall(1 << 20), Reset(0)]),
        stored("has everything and says nothing", vec![Silence]),
        stored("the answer is lost", vec![LostAnswer]),
        stored("the answer is cut off after its head", vec![CutAnswer]),
        stored("garbage for an answer", vec![Garbage]),
        stored("truncated on the way", vec![Truncate(MIDDLE)]),
        stored("nothing of the body arrives", vec![Truncate(0)]),
        stored("a bit flips at the beginning", vec![Flip(0)]),
        stored("a bit flips in the middle", vec![Flip(MIDDLE)]),
        stored("a bit flips at the end", vec![Flip((4 << 20) - 1)]),
        stored("two flips", vec![Flip(5), Flip(6)]),
        stored("a slow line", vec![Slow(300), Slow(300), Slow(300)]),
        stored("does not say that the body is welcome", vec![NoContinue]),
        stored("500 early", vec![Early(500, AGAIN, "")]),
        stored("500 late", vec![Late(500, AGAIN, "")]),
        stored("502 of a proxy", vec![Late(502, AGAIN, "<html>Bad Gateway</html>")]),
        stored("503 early, asks to wait", vec![Early(503, "Retry-After: 1", "<Code>SlowDown</Code>")]),
        stored("503 late", vec![Late(503, AGAIN, "")]),
        stored("504", vec![Late(504, AGAIN, "")]),
        stored("429 early", vec![Early(429, AGAIN, "")]),
        stored("408", vec![Late(408, AGAIN, "")]),
        stored("400 of a line that was too slow", vec![Late(400, NONE, "<Code>RequestTimeout</Code>")]),
        stored("400 of a bad digest", vec![Late(400, NONE, "<Code>BadDigest</Code>")]),
        stored("403 early: another URL", vec![Early(403, NONE, EXPIRED)]),
        stored("403 late: another URL", vec![Late(403, NONE, EXPIRED)]),
        stored("400 of an expired token: another URL", vec![Early(400, NONE, "<Code>ExpiredToken</Code>")]),
        stored("403, then a reset", vec![Early(403, NONE, EXPIRED), Reset(MIDDLE)]),
        // Parts of this size are sent without asking.
        ("417: does not know of Expect", vec![Early(417, NONE, "")], Stored, Fails(1, "status 417")),
        stored("five different faults", vec![Reset(0), Early(503, AGAIN, ""), Flip(9), Late(429, AGAIN, ""), Close(5)]),
        fails("403 always", always(Early(403, NONE, EXPIRED)), 1, "status 403: Request has expired"),
        fails("403 always, late", always(Late(403, NONE, EXPIRED)), 1, "status 403: Request has expired"),
        fails("413 early", always(Early(413, NONE, "<Message>Too large</Message>")), 5, "status 413: Too large"),
        fails("400 final", always(Early(400, NONE, "<Code>EntityTooLarge</Code>")), 1, "status 400: EntityTooLarge"),
        fails("401", always(Early(401, NONE, "")), 1, "status 401: no reason given"),
        fails("404", always(Late(404, NONE, "<Code>NoSuchBucket</Code>")), 1, "status 404: NoSuchBucket"),
        fails("409", always(Late(409, NONE, "<Code>OperationAborted</Code>")), 1, "status 409"),
        fails("411", always(Early(411, NONE, "")), 1, "status 411"),
        fails("501", always(Early(501, NONE, "")), 1, "status 501"),
        fails("redirect", always(Early(307, "Location: http://127.0.0.1:1/", "")), 1, "redirects are not followed"),
        fails("503 always", always(Early(503, AGAIN, "")), 1, "status 503"),
        fails("429 always", always(Late(429, AGAIN, "")), 1, "status 429"),
    ]
}

/// A dump, of which no two places are the same.
fn dump(folder: &tempfile::TempDir) -> (PathBuf, Arc<Vec<u8>>) {
    use std::fmt::Write;
    let mut text = "CREATE TABLE t (x text);\nCOPY t FROM stdin;\n".to_owned();
    let mut number = 1_u64;
    while text.len() < usize::try_from(SIZE).expect("fits") - 100 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        writeln!(text, "{number:016x}{:016x}", number.rotate_left(23)).expect("writes");
    }
    text += "\\.\n";
    text += &"-".repeat(usize::try_from(SIZE).expect("fits") - text.len() - 1);
    text.push('\n');
    let path = folder.path().join("app.sql");
    std::fs::write(&path, &text).expect("written");
    (path, Arc::new(text.into_bytes()))
}

fn send(line: &Line, key: &str, dump: &std::path::Path) -> Ran {
    let mut command = capydb(&["import", "--stall-timeout", "1s", "-v", "--file"]);
    command.arg(dump).env("CAPYDB_API_URL", format!("http://{}/api/capydb", line.address)).env("CAPYDB_API_KEY", key);
    run(command)
}

#[track_caller]
fn judge(name: &str, end: End, ran: &Ran, line: &Line, stored: impl FnOnce(&str) -> Vec<u8>, dump: &[u8]) {
    let said = format!("{ran:?}");
    assert!(!said.contains("signature=") && !said.contains("canary"), "{name}: {said}");
    match end {
        Stored => {
            assert_eq!(ran.code, 0, "{name}: {ran:#?}");
            let key = line.started().unwrap_or_else(|| panic!("{name}: nothing was started"));
            assert!(stored(&key) == dump, "{name}: something else is stored");
        }
        Fails(code, words) => {
            assert_eq!(ran.code, code, "{name}: {ran:#?}");
            assert!(ran.stderr.contains(words), "{name}: no «{words}» in {ran:#?}");
            assert_eq!(line.started(), None, "{name}");
        }
    }
}

/// Runs all cases, a few at a time.
fn all(check: impl Fn(&'static str, &[Fault], End, End) + Sync) {
    let cases = Mutex::new(cases());
    let count = cases.lock().expect("whole").len();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some((name, faults, once, parts)) = { cases.lock().expect("whole").pop() } {
                    check(name, &faults, once, parts);
                }
            });
        }
    });
    assert!(count >= 40);
}

/// As the hosted service has it: one request for the whole, and an entity tag that is an MD5.
#[test]
fn a_dump_that_is_sent_at_once_arrives_whole_or_not_at_all() {
    let folder = crate::folder();
    let (path, bytes) = dump(&folder);
    all(|name, faults, end, _| {
        let object = Arc::new(Mutex::new(Vec::new()));
        let inside = object.clone();
        let mock_http = Peer::start(move |mock_http, request, _| {
            if request.line() != "PUT /put" {
                return works(mock_http, request);
            }
            let md5 = u128::from_be_bytes(Md5::digest(&request.body).into());
            let tag = format!("ETag: \"{md5:032x}\"");
            (*inside.lock().expect("whole")).clone_from(&request.body);
            Answer::Raw(200, tag.leak(), String::new())
        });
        let line = Line::to(&mock_http.address, faults);
        let ran = send(&line, KEY, &path);
        judge(name, end, &ran, &line, |_| object.lock().expect("whole").clone(), &bytes);
    });
}

/// As our own control plane has it: in parts.
#[test]
fn a_dump_that_is_sent_in_parts_arrives_whole_or_not_at_all() {
    let folder = crate::folder();
    let (path, bytes) = dump(&folder);
    let control_plane = ControlPlane::throw_away();
    let upstream = control_plane.address();
    all(|name, faults, _, end| {
        let line = Line::to(&upstream, faults);
        let ran = send(&line, &control_plane.api_key, &path);
        let stored = |key: &str| {
            std::fs::read(control_plane.data_dir.join("objects").join(key.replace('/', ""))).expect("is there")
        };
        judge(name, end, &ran, &line, stored, &bytes);
    });
}
