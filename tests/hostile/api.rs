//! Unauthorized callers, invalid requests, and limits of the API.

use crate::report_cases;
use crate::support::fixtures::{ControlPlane, ask, call, control_plane, postgres, put, source, test_dir};
use crate::support::{capydb, run};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Sends raw bytes and returns the first line of the response.
fn send_raw(control_plane: &ControlPlane, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(control_plane.address()).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set the read timeout");
    let _ = stream.write_all(bytes); // the server may respond before it reads everything
    let mut line = String::new();
    let _ = BufReader::new(stream).read_line(&mut line);
    line
}

fn status_of(line: &str) -> &str {
    line.split(' ').nth(1).unwrap_or("none")
}

#[test]
fn only_loopback_host_names_are_accepted() {
    let control_plane = control_plane();
    let port = control_plane.address().rsplit(':').next().expect("port").to_owned();
    let path = "/api/capydb/status";
    let status = |host: &str| {
        status_of(&send_raw(control_plane, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()))
            .to_owned()
    };
    let accepted = [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("LOCALHOST:{port}"),
        format!("[::1]:{port}"),
    ];
    for host in &accepted {
        assert_eq!(status(host), "200", "{host}");
    }
    let rejected = [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        "127.0.0.1".into(),
        "127.0.0.1:1".into(),
        format!("127.0.0.1.evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("10.0.0.1:{port}"),
        format!("127.0.0.1:{port}@evil.example"),
        String::new(),
    ];
    for host in &rejected {
        assert!(["421", "400"].contains(&status(host).as_str()), "{host}: {}", status(host));
    }
    assert_eq!(status_of(&send_raw(control_plane, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())), "421");
    let absolute = format!("GET http://evil.example{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    assert_eq!(status_of(&send_raw(control_plane, absolute.as_bytes())), "421");
    report_cases("Host headers", accepted.len() + rejected.len() + 2);
}

#[test]
fn cross_origin_requests_receive_no_cors_headers() {
    let url = format!("{}/v1/projects", control_plane().api_url);
    let headers = response_headers(&url, "OPTIONS");
    assert!(headers.iter().all(|name| !name.starts_with("access-control")), "{headers:?}");
    let headers = response_headers(&url, "GET");
    assert!(headers.iter().all(|name| !name.starts_with("access-control")), "{headers:?}");
}

/// The header names of the response to a cross-origin request.
fn response_headers(url: &str, method: &str) -> Vec<String> {
    let address = control_plane().address();
    let path = &url[url.find("/api").expect("API path")..];
    let mut stream = TcpStream::connect(&address).expect("connect");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: authorization\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("send the request");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("read the response");
    let head = response.split("\r\n\r\n").next().unwrap_or_default();
    head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_ascii_lowercase()).collect()
}

#[test]
fn request_heads_and_bodies_are_limited() {
    let control_plane = control_plane();
    let host = control_plane.address();
    let head = |more: &str| format!("GET /api/capydb/status HTTP/1.1\r\nHost: {host}\r\n{more}\r\n");
    let many = (0..200).map(|number| format!("X-{number}: y\r\n")).collect::<Vec<_>>().concat();
    for (name, more) in [("many headers", many), ("a long header", format!("X-Long: {}\r\n", "y".repeat(200_000)))] {
        let line = send_raw(control_plane, head(&more).as_bytes());
        assert!(["431", "400", "none"].contains(&status_of(&line)), "{name}: {line}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: {host}\r\n\r\n", "y".repeat(200_000));
    assert!(["414", "431", "400", "none"].contains(&status_of(&send_raw(control_plane, long.as_bytes()))));
    let (status, _) = ask("POST", &format!("{}/v1/projects", control_plane.api_url), |request| {
        request.bearer_auth(&control_plane.api_key).header("content-type", "application/json").body(vec![b' '; 70_000])
    });
    assert_eq!(status, 413);
    assert_eq!(control_plane.call("GET", "/v1/me", None).0, 200, "the control plane still responds");
}

#[test]
fn a_key_is_limited_to_its_organization_project_and_scopes() {
    let control_plane = control_plane();
    let (own, other) = (control_plane.project("own project"), control_plane.project("other project"));
    let key = |name: &str, organization: &str, project: &str, scopes: &str, expires: &str| {
        let sql = format!(
            "insert into api_keys (id, organization_id, project_id, key_sha256, scopes, expires_at)
             values ('{name}', {organization}, {project}, sha256('{name}'), '{scopes}', {expires})"
        );
        control_plane.admin("capydb", &sql);
    };
    control_plane.admin("capydb", "insert into organizations (id, name, slug) values ('other', 'Other', 'other')");
    let dev = "(select id from organizations where slug = 'dev')";
    let all = "{projects:read,projects:write}";
    key("key_of_other_organization", "'other'", "null", all, "null");
    key("key_of_one_project", dev, &format!("'{}'", own.id), all, "null");
    key("read_only_key", dev, "null", "{projects:read}", "null");
    key("expired_key", dev, "null", all, "now() - interval '1 day'");
    let job = control_plane.call("GET", &format!("/v1/projects/{}/jobs", other.id), None).1["jobs"][0]["id"].clone();
    let job = job.as_str().expect("job id");
    let paths = [
        ("GET", format!("/v1/projects/{}", other.id)),
        ("GET", format!("/v1/projects/{}/connections", other.id)),
        ("GET", format!("/v1/projects/{}/jobs", other.id)),
        ("GET", format!("/v1/jobs/{job}")),
        ("POST", format!("/v1/jobs/{job}/cancel")),
        ("POST", format!("/v1/projects/{}/imports/uploads", other.id)),
        ("POST", format!("/v1/projects/{}/imports", other.id)),
        ("POST", format!("/v1/projects/{}/imports/preflight", other.id)),
    ];
    let mut cases = 0;
    for (key, status) in [("key_of_other_organization", 404), ("key_of_one_project", 404), ("expired_key", 401)] {
        for (method, path) in &paths {
            let body = json!({ "confirm": true, "source_url": "postgres://u@h/d" });
            let (actual, response) = call(method, &format!("{}{path}", control_plane.api_url), key, Some(&body));
            assert_eq!(actual, status, "{key} {method} {path}: {response}");
            cases += 1;
        }
    }
    for (method, path) in paths.iter().filter(|(method, _)| *method == "POST") {
        assert_eq!(call(method, &format!("{}{path}", control_plane.api_url), "read_only_key", None).0, 403, "{path}");
        cases += 1;
    }
    // A connection string gives full access, so a read-only key cannot read it.
    let connections = format!("{}/v1/projects/{}/connections", control_plane.api_url, own.id);
    assert_eq!(call("GET", &connections, "read_only_key", None).0, 403);
    assert_eq!(call("GET", &connections, "key_of_one_project", None).0, 200);
    key("key_without_scopes", dev, "null", "{}", "null");
    assert_eq!(call("GET", &format!("{}/v1/projects", control_plane.api_url), "key_without_scopes", None).0, 403);
    assert_eq!(call("GET", &format!("{}/v1/projects/%00", control_plane.api_url), &control_plane.api_key, None).0, 404);
    cases += 4;
    let visible_projects = |key: &str| {
        call("GET", &format!("{}/v1/projects", control_plane.api_url), key, None).1["projects"]
            .as_array()
            .expect("list of projects")
            .len()
    };
    assert_eq!((visible_projects("key_of_other_organization"), visible_projects("key_of_one_project")), (0, 1));
    let stored = control_plane.admin("capydb", "select count(*) from api_keys k where k::text like '%capy_live_%'");
    assert_eq!(stored, "0", "only hashes are stored");
    report_cases("keys and requests", cases);
}

#[test]
fn excess_requests_are_rate_limited() {
    let control_plane = ControlPlane::start(&[]);
    let send_requests = |key: &str, count: usize| {
        let mut stream = TcpStream::connect(control_plane.address()).expect("connect");
        let head = format!(
            "GET /api/capydb/v1/me HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\n\r\n",
            control_plane.address()
        );
        stream.write_all(head.repeat(count).as_bytes()).expect("send the request");
        let mut responses = String::new();
        let mut buffer = vec![0; 64 << 10];
        while responses.matches("HTTP/1.1").count() < count {
            let length = stream.read(&mut buffer).expect("read the response");
            assert!(length > 0, "the server closed the connection: {responses}");
            responses.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        responses
    };
    let responses = send_requests("capy_live_wrong", 300);
    assert!(
        responses.contains("HTTP/1.1 401") && responses.contains("HTTP/1.1 429"),
        "failed authentication is rate limited"
    );
    assert_eq!(control_plane.call("GET", "/v1/me", None).0, 200, "a valid key is not affected by other callers");
    let responses = send_requests(&control_plane.api_key, 2000);
    let (accepted, limited) = (responses.matches("HTTP/1.1 200").count(), responses.matches("HTTP/1.1 429").count());
    assert!(accepted >= 400 && limited > 0 && accepted + limited == 2000, "{accepted} {limited}");
    let retry_after = responses
        .to_ascii_lowercase()
        .split("retry-after: ")
        .nth(1)
        .and_then(|rest| rest.lines().next().map(str::to_owned));
    assert!(
        retry_after
            .is_some_and(|retry_after| retry_after.parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds)))
    );
    // The CLI waits for the time in Retry-After and succeeds.
    control_plane.run(&["projects", "list"]).succeeds();
}

#[test]
fn a_changed_or_used_upload_url_is_rejected() {
    let control_plane = control_plane();
    let project = control_plane.project("one upload");
    let slot = || {
        let (_, slot) = control_plane.call("POST", &format!("/v1/projects/{}/imports/uploads", project.id), None);
        slot["upload"]["upload_url"].as_str().expect("upload URL").to_owned()
    };
    let url = slot();
    let start = url.find("/objects/").expect("object path") + "/objects/".len();
    let mut cases = 0;
    for offset in start..url.len() {
        for byte in *b"0Zz%&/." {
            let mut changed = url.clone().into_bytes();
            if changed[offset] == byte {
                continue;
            }
            changed[offset] = byte;
            let target = String::from_utf8(changed).expect("UTF-8 URL");
            let path = &target[target.find("/api").expect("API path")..];
            let request = format!(
                "PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
                control_plane.address()
            );
            let line = send_raw(control_plane, request.as_bytes());
            assert!(["400", "403", "404", "405"].contains(&status_of(&line)), "{target}: {line}");
            cases += 1;
        }
    }
    for changed in [
        url.replace("/objects/imports/", "/objects/imports%2F"),
        url.replace("/objects/", "/objects//"),
        url.replace("/objects/", "/objects/./"),
        url.replace("/objects/", "/objects/x/../"),
        url.replace("/imports/", "/imports/../imports/"),
        format!("{url}&x=y"),
        format!("{url}?x=y"),
    ] {
        let path = &changed[changed.find("/api").expect("API path")..];
        let request = format!(
            "PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
            control_plane.address()
        );
        let line = send_raw(control_plane, request.as_bytes());
        assert!(["400", "403", "404"].contains(&status_of(&line)), "{changed}: {line}");
        cases += 1;
    }
    assert_eq!(put(&url, b"first".to_vec()).0, 200);
    let (status, response) = put(&url, b"again".to_vec());
    assert!(status == 403 && response.to_string().contains("AccessDenied"), "{status} {response}");
    report_cases("changed upload URLs", cases + 1);
}

#[test]
fn an_upload_must_match_its_declared_length_and_the_plan_limit() {
    let control_plane = ControlPlane::start(&["--plan-limit", "20MB"]);
    let project = control_plane.project("small plan");
    let send = |head: &str, body: &[u8]| {
        let (_, slot) = control_plane.call("POST", &format!("/v1/projects/{}/imports/uploads", project.id), None);
        let url = slot["upload"]["upload_url"].as_str().expect("upload URL");
        let path = &url[url.find("/api").expect("API path")..];
        let head = format!("PUT {path} HTTP/1.1\r\nHost: {}\r\n{head}\r\n\r\n", control_plane.address());
        status_of(&send_raw(&control_plane, &[head.as_bytes(), body].concat())).to_owned()
    };
    assert_eq!(send("Content-Length: 5", b"hello"), "200");
    assert_eq!(send("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"), "411");
    assert_eq!(send("Content-Length: 20000001", b"hello"), "413");
    assert_eq!(send("Content-Length: 99999999999999999999", b"hello"), "400");
    assert_eq!(send("Content-Length: -1", b"hello"), "400");
    let mut interrupted = TcpStream::connect(control_plane.address()).expect("connect");
    let (_, slot) = control_plane.call("POST", &format!("/v1/projects/{}/imports/uploads", project.id), None);
    let url = slot["upload"]["upload_url"].as_str().expect("upload URL");
    let path = &url[url.find("/api").expect("API path")..];
    let head = format!("PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 5\r\n\r\nhell", control_plane.address());
    interrupted.write_all(head.as_bytes()).expect("send the request");
    let unfinished = || std::fs::read_dir(control_plane.data_dir.join("uploads")).expect("list the directory").count();
    crate::support::until("the upload has begun", || unfinished() == 1);
    drop(interrupted);
    crate::support::until("the partial object is removed", || unfinished() == 0);
    let objects = std::fs::read_dir(control_plane.data_dir.join("objects")).expect("list the directory").count();
    assert_eq!(objects, 1, "only the complete object is kept");
}

#[test]
fn no_secret_reaches_the_log() {
    let url = source().create("logged", "create table t as select 1 as x");
    let dir = test_dir();
    source().dump("logged", "custom", &dir.join("logged.dump"));
    let script = "set -e; \"$C\" import --source-url \"$S\" --recreate --wait; \"$C\" import --file \"$D\" --recreate --wait;
                  \"$C\" import --source-url \"$S-nowhere\" --recreate --wait || true; echo \"$CAPYDB_API_KEY\"; \"$C\" projects url";
    let mut command = capydb(&["dev", "-vv", "--ephemeral", "--postgres-bin"]);
    command.arg(postgres(17)).args(["--", "sh", "-c", script]);
    command.env("C", env!("CARGO_BIN_EXE_capydb")).env("S", &url).env("D", dir.join("logged.dump")).env("TMPDIR", &dir);
    let ran = run(command).succeeds();
    let mut secrets: Vec<&str> = ran.stdout.lines().rev().take(2).collect();
    let password = secrets[0].split(':').nth(2).and_then(|rest| rest.split('@').next()).expect("password");
    secrets = vec![secrets[1], password, "source-secret", "signature=", "whsec_"];
    for secret in secrets {
        assert!(secret.len() > 5 && !ran.stderr.contains(secret), "{secret}: {}", ran.stderr);
    }
    assert!(
        ran.stderr.contains("job ") && ran.stderr.contains("starting attempt"),
        "the log is missing: {}",
        ran.stderr
    );
}

/// The owner's browser receives the key; other users of the machine do not.
#[test]
fn only_the_owner_receives_the_panel_key() {
    let control_plane = control_plane();
    let address = control_plane.address();
    let get = |more: &str| format!("GET /panel/key HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\r\n");
    let (panel_header, key) = ("X-CapyDB-Panel: 1\r\n", control_plane.api_key.clone());
    assert_eq!(status_of(&send_raw(control_plane, get(panel_header).as_bytes())), "200");
    for headers in ["", "X-CapyDB-Panel: 1\r\nVia: 1.1 proxy\r\n", "X-CapyDB-Panel: 1\r\nX-Forwarded-For: 1.1.1.1\r\n"]
    {
        assert_eq!(status_of(&send_raw(control_plane, get(headers).as_bytes())), "401", "{headers}");
    }
    let root = rustix::process::geteuid().is_root();
    if root {
        // Another user of the same machine sends the same request as a browser.
        let address_path = address.replace(':', "/");
        let script = format!(
            "exec 3<>/dev/tcp/{address_path}; printf '{}' >&3; cat <&3",
            get(panel_header).replace("\r\n", "\\r\\n")
        );
        let mut other_user = std::process::Command::new("setpriv");
        other_user.args(["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", &script]).current_dir("/");
        let response = run(other_user);
        assert!(response.stdout.starts_with("HTTP/1.1 401") && !response.stdout.contains(&key), "{response:#?}");
    } else {
        crate::support::skip("other-user", "only root can send a request as another user");
    }
    report_cases("requests for the panel key", if root { 5 } else { 4 });
}

/// Many clients read the response only after they have sent the whole body.
#[test]
fn a_client_rejected_during_an_upload_receives_the_response() {
    let control_plane = ControlPlane::start(&["--plan-limit", "1MB"]);
    let project = control_plane.project("rejected upload");
    let (_, slot) = control_plane.call("POST", &format!("/v1/projects/{}/imports/uploads", project.id), None);
    let url = slot["upload"]["upload_url"].as_str().expect("upload URL");
    let path = url.split_once(&control_plane.address()).expect("the control plane's address").1;
    for (path, status) in [(path, "413"), (path.split_once('?').expect("signed URL").0, "403")] {
        let head =
            format!("PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 30000000\r\n\r\n", control_plane.address());
        let mut stream = TcpStream::connect(control_plane.address()).expect("connect");
        stream.write_all(head.as_bytes()).expect("send the request");
        stream.write_all(&vec![b'x'; 30_000_000]).expect("the server accepts the whole body");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("read the response");
        assert_eq!(status_of(&line), status, "{line}");
    }
}
