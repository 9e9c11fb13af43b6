//! Storage and network faults at every point of an upload. Either the stored object equals the dump,
//! or the command reports the error and starts no import.

use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::fixtures::ControlPlane;
use crate::support::mock_http::{MockServer, Response};
use crate::support::{Ran, capydb, run};
use crate::{KEY, success_response};
use md5::{Digest, Md5};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// The expected outcome of an upload.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// The object is stored and an import starts.
    Stored,
    /// The command fails with this exit code and a message that contains this text.
    Fails(i32, &'static str),
}

use Fault::{
    Close, Early, Flip, Garbage, Late, LostResponse, NoContinue, NoResponse, Refused, Reset, Slow, Stall, Truncate,
    TruncatedResponse,
};
use Outcome::{Fails, Stored};

const EXPIRED: &str = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
const RETRY_NOW: &str = "Retry-After: 0";
const NO_HEADER: &str = "X: y";
/// Size of the dump in bytes: three parts, and larger than the system's socket buffers.
const SIZE: u64 = 20 << 20;
const MIDDLE: u64 = 7 << 20;

/// Name, faults, and the outcomes of an upload in one request and in parts.
fn cases() -> Vec<(&'static str, Vec<Fault>, Outcome, Outcome)> {
    let always = |fault: Fault| vec![fault; 30];
    let stored = |name, faults: Vec<Fault>| (name, faults, Stored, Stored);
    let fails = |name, faults: Vec<Fault>, code, message| (name, faults, Fails(code, message), Fails(code, message));
    vec![
        stored("no fault", vec![]),
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
        stored("no response", vec![NoResponse]),
        stored("lost response", vec![LostResponse]),
        stored("response truncated after its head", vec![TruncatedResponse]),
        stored("garbage instead of a response", vec![Garbage]),
        stored("truncated in transit", vec![Truncate(MIDDLE)]),
        stored("body truncated to nothing", vec![Truncate(0)]),
        stored("bit flip at the start", vec![Flip(0)]),
        stored("bit flip in the middle", vec![Flip(MIDDLE)]),
        stored("bit flip at the end", vec![Flip((4 << 20) - 1)]),
        stored("two bit flips", vec![Flip(5), Flip(6)]),
        stored("slow connection", vec![Slow(300), Slow(300), Slow(300)]),
        stored("no 100 Continue", vec![NoContinue]),
        stored("500 early", vec![Early(500, RETRY_NOW, "")]),
        stored("500 late", vec![Late(500, RETRY_NOW, "")]),
        stored("502 from a gateway", vec![Late(502, RETRY_NOW, "<html>Bad Gateway</html>")]),
        stored(
            "503 early with Retry-After",
            vec![Early(503, "Retry-After: 1", "<Error><Code>SlowDown</Code></Error>")],
        ),
        stored("503 late", vec![Late(503, RETRY_NOW, "")]),
        stored("504", vec![Late(504, RETRY_NOW, "")]),
        stored("429 early", vec![Early(429, RETRY_NOW, "")]),
        stored("408", vec![Late(408, RETRY_NOW, "")]),
        stored("400 RequestTimeout", vec![Late(400, NO_HEADER, "<Error><Code>RequestTimeout</Code></Error>")]),
        stored("400 BadDigest", vec![Late(400, NO_HEADER, "<Error><Code>BadDigest</Code></Error>")]),
        stored("403 early: new URL", vec![Early(403, NO_HEADER, EXPIRED)]),
        stored("403 late: new URL", vec![Late(403, NO_HEADER, EXPIRED)]),
        stored("400 ExpiredToken: new URL", vec![Early(400, NO_HEADER, "<Error><Code>ExpiredToken</Code></Error>")]),
        stored("403, then a reset", vec![Early(403, NO_HEADER, EXPIRED), Reset(MIDDLE)]),
        // Parts of this size are sent without `Expect: 100-continue`.
        ("417: Expect is not supported", vec![Early(417, NO_HEADER, "")], Stored, Fails(1, "status 417")),
        stored(
            "five different faults",
            vec![Reset(0), Early(503, RETRY_NOW, ""), Flip(9), Late(429, RETRY_NOW, ""), Close(5)],
        ),
        fails("403 always", always(Early(403, NO_HEADER, EXPIRED)), 1, "status 403: Request has expired"),
        fails("403 always, late", always(Late(403, NO_HEADER, EXPIRED)), 1, "status 403: Request has expired"),
        fails(
            "413 early",
            always(Early(413, NO_HEADER, "<Error><Message>Too large</Message></Error>")),
            5,
            "status 413: Too large",
        ),
        fails(
            "400 final",
            always(Early(400, NO_HEADER, "<Error><Code>EntityTooLarge</Code></Error>")),
            1,
            "status 400: EntityTooLarge",
        ),
        fails("401", always(Early(401, NO_HEADER, "")), 1, "status 401: no reason given"),
        fails(
            "404",
            always(Late(404, NO_HEADER, "<Error><Code>NoSuchBucket</Code></Error>")),
            1,
            "status 404: NoSuchBucket",
        ),
        fails("409", always(Late(409, NO_HEADER, "<Error><Code>OperationAborted</Code></Error>")), 1, "status 409"),
        fails("411", always(Early(411, NO_HEADER, "")), 1, "status 411"),
        fails("501", always(Early(501, NO_HEADER, "")), 1, "status 501"),
        fails("redirect", always(Early(307, "Location: http://127.0.0.1:1/", "")), 1, "redirects are not followed"),
        fails("503 always", always(Early(503, RETRY_NOW, "")), 1, "status 503"),
        fails("429 always", always(Late(429, RETRY_NOW, "")), 1, "status 429"),
    ]
}

/// Writes a dump of pseudorandom rows, so that no two parts are equal.
fn write_dump(dir: &tempfile::TempDir) -> (PathBuf, Arc<Vec<u8>>) {
    use std::fmt::Write;
    let mut text = "CREATE TABLE t (x text);\nCOPY t FROM stdin;\n".to_owned();
    let mut state = 1_u64;
    while text.len() < usize::try_from(SIZE).expect("fits in usize") - 100 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        writeln!(text, "{state:016x}{:016x}", state.rotate_left(23)).expect("append a row");
    }
    text += "\\.\n";
    text += &"-".repeat(usize::try_from(SIZE).expect("fits in usize") - text.len() - 1);
    text.push('\n');
    let path = dir.path().join("app.sql");
    std::fs::write(&path, &text).expect("write the dump");
    (path, Arc::new(text.into_bytes()))
}

fn run_import(proxy: &FaultProxy, key: &str, dump: &std::path::Path) -> Ran {
    let mut command = capydb(&["import", "--stall-timeout", "1s", "-v", "--file"]);
    command.arg(dump).env("CAPYDB_API_URL", format!("http://{}/api/capydb", proxy.address)).env("CAPYDB_API_KEY", key);
    run(command)
}

#[track_caller]
fn assert_outcome(
    name: &str,
    outcome: Outcome,
    ran: &Ran,
    proxy: &FaultProxy,
    stored: impl FnOnce(&str) -> Vec<u8>,
    dump: &[u8],
) {
    let output = format!("{ran:?}");
    assert!(!output.contains("signature=") && !output.contains("canary"), "{name}: {output}");
    match outcome {
        Stored => {
            assert_eq!(ran.code, 0, "{name}: {ran:#?}");
            let key = proxy.imported_key().unwrap_or_else(|| panic!("{name}: no import was started"));
            assert!(stored(&key) == dump, "{name}: the stored object differs from the dump");
        }
        Fails(code, message) => {
            assert_eq!(ran.code, code, "{name}: {ran:#?}");
            assert!(ran.stderr.contains(message), "{name}: missing `{message}` in {ran:#?}");
            assert_eq!(proxy.imported_key(), None, "{name}");
        }
    }
}

/// Runs all cases, six of them concurrently.
fn for_each_case(check: impl Fn(&'static str, &[Fault], Outcome, Outcome) + Sync) {
    let cases = Mutex::new(cases());
    let count = cases.lock().expect("not poisoned").len();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some((name, faults, single, multipart)) = { cases.lock().expect("not poisoned").pop() } {
                    check(name, &faults, single, multipart);
                }
            });
        }
    });
    assert!(count >= 40);
}

/// Like the hosted service: one request, and an MD5 as the entity tag.
#[test]
fn an_upload_in_one_request_is_complete_or_fails() {
    let dir = crate::temp_dir();
    let (path, bytes) = write_dump(&dir);
    for_each_case(|name, faults, outcome, _| {
        let object = Arc::new(Mutex::new(Vec::new()));
        let received = object.clone();
        let mock_http = MockServer::start(move |mock_http, request, _| {
            if request.line() != "PUT /put" {
                return success_response(mock_http, request);
            }
            let md5 = u128::from_be_bytes(Md5::digest(&request.body).into());
            let tag = format!("ETag: \"{md5:032x}\"");
            (*received.lock().expect("not poisoned")).clone_from(&request.body);
            Response::Raw(200, tag.leak(), String::new())
        });
        let proxy = FaultProxy::to(&mock_http.address, faults);
        let ran = run_import(&proxy, KEY, &path);
        assert_outcome(name, outcome, &ran, &proxy, |_| object.lock().expect("not poisoned").clone(), &bytes);
    });
}

/// Like the self-hosted control plane: a multipart upload.
#[test]
fn a_multipart_upload_is_complete_or_fails() {
    let dir = crate::temp_dir();
    let (path, bytes) = write_dump(&dir);
    let control_plane = ControlPlane::ephemeral();
    let upstream = control_plane.address();
    for_each_case(|name, faults, _, outcome| {
        let proxy = FaultProxy::to(&upstream, faults);
        let ran = run_import(&proxy, &control_plane.api_key, &path);
        let stored = |key: &str| {
            std::fs::read(control_plane.data_dir.join("objects").join(key.replace('/', ""))).expect("read the object")
        };
        assert_outcome(name, outcome, &ran, &proxy, stored, &bytes);
    });
}
