//! Callers who are not who they should be, or who ask for too much.

use crate::ran_cases;
use crate::support::fixtures::{ControlPlane, ask, call, control_plane, open_folder, postgres, put, source};
use crate::support::{capydb, run};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Sends bytes as they are and gives the first line of the answer.
fn raw(control_plane: &ControlPlane, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(control_plane.address()).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let _ = stream.write_all(bytes); // it may be refused before it is read
    let mut line = String::new();
    let _ = BufReader::new(stream).read_line(&mut line);
    line
}

fn status_of(line: &str) -> &str {
    line.split(' ').nth(1).unwrap_or("none")
}

#[test]
fn only_our_own_name_is_answered() {
    let control_plane = control_plane();
    let port = control_plane.address().rsplit(':').next().expect("a port").to_owned();
    let path = "/api/capydb/status";
    let with = |host: &str| {
        status_of(&raw(control_plane, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())).to_owned()
    };
    let ours = [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("LOCALHOST:{port}"),
        format!("[::1]:{port}"),
    ];
    for host in &ours {
        assert_eq!(with(host), "200", "{host}");
    }
    let others = [
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
    for host in &others {
        assert!(["421", "400"].contains(&with(host).as_str()), "{host}: {}", with(host));
    }
    assert_eq!(status_of(&raw(control_plane, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())), "421");
    let absolute = format!("GET http://evil.example{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    assert_eq!(status_of(&raw(control_plane, absolute.as_bytes())), "421");
    ran_cases("names of the host", ours.len() + others.len() + 2);
}

#[test]
fn other_pages_are_not_let_in() {
    let url = format!("{}/v1/projects", control_plane().api_url);
    let client = reqwest_headers(&url, "OPTIONS");
    assert!(client.iter().all(|name| !name.starts_with("access-control")), "{client:?}");
    let client = reqwest_headers(&url, "GET");
    assert!(client.iter().all(|name| !name.starts_with("access-control")), "{client:?}");
}

/// Names of the headers of an answer to a page of another origin.
fn reqwest_headers(url: &str, method: &str) -> Vec<String> {
    let address = control_plane().address();
    let path = &url[url.find("/api").expect("a path")..];
    let mut stream = TcpStream::connect(&address).expect("connects");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: authorization\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_ascii_lowercase()).collect()
}

#[test]
fn heads_and_bodies_have_limits() {
    let control_plane = control_plane();
    let host = control_plane.address();
    let head = |more: &str| format!("GET /api/capydb/status HTTP/1.1\r\nHost: {host}\r\n{more}\r\n");
    let many = (0..200).map(|number| format!("X-{number}: y\r\n")).collect::<Vec<_>>().concat();
    for (what, more) in [("many headers", many), ("a long header", format!("X-Long: {}\r\n", "y".repeat(200_000)))] {
        let line = raw(control_plane, head(&more).as_bytes());
        assert!(["431", "400", "none"].contains(&status_of(&line)), "{what}: {line}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: {host}\r\n\r\n", "y".repeat(200_000));
    assert!(["414", "431", "400", "none"].contains(&status_of(&raw(control_plane, long.as_bytes()))));
    let (status, _) = ask("POST", &format!("{}/v1/projects", control_plane.api_url), |request| {
        request.bearer_auth(&control_plane.api_key).header("content-type", "application/json").body(vec![b' '; 70_000])
    });
    assert_eq!(status, 413);
    assert_eq!(control_plane.call("GET", "/v1/me", None).0, 200, "it still answers");
}

#[test]
fn a_key_opens_what_it_is_for() {
    let control_plane = control_plane();
    let (own, other) = (control_plane.project("own"), control_plane.project("not its own"));
    let key = |name: &str, organization: &str, project: &str, scopes: &str, expires: &str| {
        let sql = format!(
            "insert into api_keys (id, organization_id, project_id, key_sha256, scopes, expires_at)
             values ('{name}', {organization}, {project}, sha256('{name}'), '{scopes}', {expires})"
        );
        control_plane.admin("capydb", &sql);
    };
    control_plane
        .admin("capydb", "insert into organizations (id, name, slug) values ('strangers', 'Strangers', 'strangers')");
    let dev = "(select id from organizations where slug = 'dev')";
    let all = "{projects:read,projects:write}";
    key("key_of_strangers", "'strangers'", "null", all, "null");
    key("key_of_one_project", dev, &format!("'{}'", own.id), all, "null");
    key("key_that_reads", dev, "null", "{projects:read}", "null");
    key("key_of_yesterday", dev, "null", all, "now() - interval '1 day'");
    let job = control_plane.call("GET", &format!("/v1/projects/{}/jobs", other.id), None).1["jobs"][0]["id"].clone();
    let job = job.as_str().expect("a job");
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
    for (key, status) in [("key_of_strangers", 404), ("key_of_one_project", 404), ("key_of_yesterday", 401)] {
        for (method, path) in &paths {
            let body = json!({ "confirm": true, "source_url": "postgres://u@h/d" });
            let (got, answer) = call(method, &format!("{}{path}", control_plane.api_url), key, Some(&body));
            assert_eq!(got, status, "{key} {method} {path}: {answer}");
            cases += 1;
        }
    }
    for (method, path) in paths.iter().filter(|(method, _)| *method == "POST") {
        assert_eq!(call(method, &format!("{}{path}", control_plane.api_url), "key_that_reads", None).0, 403, "{path}");
        cases += 1;
    }
    // With the connection string anything can be done.
    let connections = format!("{}/v1/projects/{}/connections", control_plane.api_url, own.id);
    assert_eq!(call("GET", &connections, "key_that_reads", None).0, 403);
    assert_eq!(call("GET", &connections, "key_of_one_project", None).0, 200);
    key("key_without_scopes", dev, "null", "{}", "null");
    assert_eq!(call("GET", &format!("{}/v1/projects", control_plane.api_url), "key_without_scopes", None).0, 403);
    assert_eq!(call("GET", &format!("{}/v1/projects/%00", control_plane.api_url), &control_plane.api_key, None).0, 404);
    cases += 4;
    let seen = |key: &str| {
        call("GET", &format!("{}/v1/projects", control_plane.api_url), key, None).1["projects"]
            .as_array()
            .expect("a list")
            .len()
    };
    assert_eq!((seen("key_of_strangers"), seen("key_of_one_project")), (0, 1));
    let stored = control_plane.admin("capydb", "select count(*) from api_keys k where k::text like '%capy_live_%'");
    assert_eq!(stored, "0", "only hashes are stored");
    ran_cases("keys and calls", cases);
}

#[test]
fn too_many_calls_are_slowed_down() {
    let control_plane = ControlPlane::start(&[]);
    let hit = |key: &str, most: usize| {
        let mut stream = TcpStream::connect(control_plane.address()).expect("connects");
        let head = format!(
            "GET /api/capydb/v1/me HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\n\r\n",
            control_plane.address()
        );
        stream.write_all(head.repeat(most).as_bytes()).expect("sent");
        let mut answers = String::new();
        let mut block = vec![0; 64 << 10];
        while answers.matches("HTTP/1.1").count() < most {
            let length = stream.read(&mut block).expect("an answer");
            assert!(length > 0, "it closed the connection: {answers}");
            answers.push_str(&String::from_utf8_lossy(&block[..length]));
        }
        answers
    };
    let answers = hit("capy_live_wrong", 300);
    assert!(answers.contains("HTTP/1.1 401") && answers.contains("HTTP/1.1 429"), "guesses are counted");
    assert_eq!(control_plane.call("GET", "/v1/me", None).0, 200, "whoever has a key is not kept out by others");
    let answers = hit(&control_plane.api_key, 2000);
    let (good, slowed) = (answers.matches("HTTP/1.1 200").count(), answers.matches("HTTP/1.1 429").count());
    assert!(good >= 400 && slowed > 0 && good + slowed == 2000, "{good} {slowed}");
    let wait = answers
        .to_ascii_lowercase()
        .split("retry-after: ")
        .nth(1)
        .and_then(|rest| rest.lines().next().map(str::to_owned));
    assert!(wait.is_some_and(|wait| wait.parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds))));
    // Our own command line waits as it is told and gets through.
    control_plane.run(&["projects", "list"]).succeeds();
}

#[test]
fn an_upload_url_holds_for_one_upload_and_no_other_spelling() {
    let control_plane = control_plane();
    let project = control_plane.project("one upload");
    let slot = || {
        let (_, slot) = control_plane.call("POST", &format!("/v1/projects/{}/imports/uploads", project.id), None);
        slot["upload"]["upload_url"].as_str().expect("a URL").to_owned()
    };
    let url = slot();
    let start = url.find("/objects/").expect("a path") + "/objects/".len();
    let mut cases = 0;
    for at in start..url.len() {
        for other in *b"0Zz%&/." {
            let mut changed = url.clone().into_bytes();
            if changed[at] == other {
                continue;
            }
            changed[at] = other;
            let target = String::from_utf8(changed).expect("text");
            let path = &target[target.find("/api").expect("a path")..];
            let request = format!(
                "PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
                control_plane.address()
            );
            let line = raw(control_plane, request.as_bytes());
            assert!(["400", "403", "404", "405"].contains(&status_of(&line)), "{target}: {line}");
            cases += 1;
        }
    }
    for other in [
        url.replace("/objects/imports/", "/objects/imports%2F"),
        url.replace("/objects/", "/objects//"),
        url.replace("/objects/", "/objects/./"),
        url.replace("/objects/", "/objects/x/../"),
        url.replace("/imports/", "/imports/../imports/"),
        format!("{url}&x=y"),
        // A fragment is never sent by a client: here it is part of the request line.
        format!("{url}#x?expires=1"),
    ] {
        let path = &other[other.find("/api").expect("a path")..];
        let request = format!(
            "PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
            control_plane.address()
        );
        let line = raw(control_plane, request.as_bytes());
        assert!(["400", "403", "404"].contains(&status_of(&line)), "{other}: {line}");
        cases += 1;
    }
    assert_eq!(put(&url, b"first".to_vec()).0, 200);
    let (status, answer) = put(&url, b"again".to_vec());
    assert!(status == 403 && answer.to_string().contains("AccessDenied"), "{status} {answer}");
    ran_cases("changed upload URLs", cases + 1);
}

#[test]
fn an_upload_has_the_length_that_was_declared_and_the_plan_allows() {
    let control_plane = ControlPlane::start(&["--plan-limit", "20MB"]);
    let project = control_plane.project("small plan");
    let send = |head: &str, body: &[u8]| {
        let (_, slot) = control_plane.call("POST", &format!("/v1/projects/{}/imports/uploads", project.id), None);
        let url = slot["upload"]["upload_url"].as_str().expect("a URL");
        let path = &url[url.find("/api").expect("a path")..];
        let head = format!("PUT {path} HTTP/1.1\r\nHost: {}\r\n{head}\r\n\r\n", control_plane.address());
        status_of(&raw(&control_plane, &[head.as_bytes(), body].concat())).to_owned()
    };
    assert_eq!(send("Content-Length: 5", b"hello"), "200");
    assert_eq!(send("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"), "411");
    assert_eq!(send("Content-Length: 20000001", b"hello"), "413");
    assert_eq!(send("Content-Length: 99999999999999999999", b"hello"), "400");
    assert_eq!(send("Content-Length: -1", b"hello"), "400");
    let mut cut_off = TcpStream::connect(control_plane.address()).expect("connects");
    let (_, slot) = control_plane.call("POST", &format!("/v1/projects/{}/imports/uploads", project.id), None);
    let url = slot["upload"]["upload_url"].as_str().expect("a URL");
    let path = &url[url.find("/api").expect("a path")..];
    let head = format!("PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 5\r\n\r\nhell", control_plane.address());
    cut_off.write_all(head.as_bytes()).expect("sent");
    let unfinished = || std::fs::read_dir(control_plane.data_dir.join("uploads")).expect("lists").count();
    crate::support::until("the upload has begun", || unfinished() == 1);
    drop(cut_off);
    crate::support::until("the half of an object is gone", || unfinished() == 0);
    let left = std::fs::read_dir(control_plane.data_dir.join("objects")).expect("lists").count();
    assert_eq!(left, 1, "what did not arrive whole does not stay");
}

#[test]
fn no_secret_reaches_the_log() {
    let url = source().create("logged", "create table t as select 1 as x");
    let folder = open_folder();
    source().dump("logged", "custom", &folder.join("logged.dump"));
    let script = "set -e; \"$C\" import --source-url \"$S\" --recreate --wait; \"$C\" import --file \"$D\" --recreate --wait;
                  \"$C\" import --source-url \"$S-nowhere\" --recreate --wait || true; echo \"$CAPYDB_API_KEY\"; \"$C\" projects url";
    let mut command = capydb(&["dev", "-vv", "--ephemeral", "--postgres-bin"]);
    command.arg(postgres(17)).args(["--", "sh", "-c", script]);
    command
        .env("C", env!("CARGO_BIN_EXE_capydb"))
        .env("S", &url)
        .env("D", folder.join("logged.dump"))
        .env("TMPDIR", &folder);
    let ran = run(command).succeeds();
    let mut secrets: Vec<&str> = ran.stdout.lines().rev().take(2).collect();
    let password = secrets[0].split(':').nth(2).and_then(|rest| rest.split('@').next()).expect("a password");
    secrets = vec![secrets[1], password, "source-secret", "signature=", "whsec_"];
    for secret in secrets {
        assert!(secret.len() > 5 && !ran.stderr.contains(secret), "{secret}: {}", ran.stderr);
    }
    assert!(ran.stderr.contains("job ") && ran.stderr.contains("starting attempt"), "there is a log: {}", ran.stderr);
}

/// The owner's own browser gets the key; nobody else of the machine does.
#[test]
fn only_the_owner_is_given_the_key() {
    let control_plane = control_plane();
    let address = control_plane.address();
    let get = |more: &str| format!("GET /panel/key HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\r\n");
    let (page, key) = ("X-CapyDB-Panel: 1\r\n", control_plane.api_key.clone());
    assert_eq!(status_of(&raw(control_plane, get(page).as_bytes())), "200");
    for for_another in
        ["", "X-CapyDB-Panel: 1\r\nVia: 1.1 proxy\r\n", "X-CapyDB-Panel: 1\r\nX-Forwarded-For: 1.1.1.1\r\n"]
    {
        assert_eq!(status_of(&raw(control_plane, get(for_another).as_bytes())), "401", "{for_another}");
    }
    let root = rustix::process::geteuid().is_root();
    if root {
        // Another user of the same machine, who does all that a browser does.
        let place = address.replace(':', "/");
        let script = format!("exec 3<>/dev/tcp/{place}; printf '{}' >&3; cat <&3", get(page).replace("\r\n", "\\r\\n"));
        let mut other = std::process::Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", &script]).current_dir("/");
        let answer = run(other);
        assert!(answer.stdout.starts_with("HTTP/1.1 401") && !answer.stdout.contains(&key), "{answer:#?}");
    }
    ran_cases("askers for the key", if root { 5 } else { 4 });
}

/// Many clients read nothing before they have sent everything.
#[test]
fn who_is_refused_in_the_middle_of_a_dump_hears_why() {
    let control_plane = ControlPlane::start(&["--plan-limit", "1MB"]);
    let project = control_plane.project("refused");
    let (_, slot) = control_plane.call("POST", &format!("/v1/projects/{}/imports/uploads", project.id), None);
    let url = slot["upload"]["upload_url"].as_str().expect("a URL");
    let path = url.split_once(&control_plane.address()).expect("our own address").1;
    for (path, status) in [(path, "413"), (path.split_once('?').expect("signed").0, "403")] {
        let head =
            format!("PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 30000000\r\n\r\n", control_plane.address());
        let mut stream = TcpStream::connect(control_plane.address()).expect("connects");
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(&vec![b'x'; 30_000_000]).expect("all of it is taken");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("an answer");
        assert_eq!(status_of(&line), status, "{line}");
    }
}
