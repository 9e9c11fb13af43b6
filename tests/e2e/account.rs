//! Tests of `login`, `logout`, `whoami`, `link`, `unlink`, `config show`, and `doctor`.

use crate::support::fixtures::{ask, control_plane};
use crate::support::{Ran, capydb, run};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A command with its own home directory and no settings in the environment.
fn command_at_home(home: &Path, arguments: &[&str]) -> Command {
    let mut command = capydb(arguments);
    command.env("HOME", home).env("XDG_CONFIG_HOME", home.join("config")).current_dir(home);
    command
}

fn run_with_input(mut command: Command, input: &str) -> Ran {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("spawn capydb");
    child.stdin.take().expect("piped stdin").write_all(input.as_bytes()).expect("write to stdin");
    Ran::of(&child.wait_with_output().expect("wait for capydb"))
}

#[test]
fn login_checks_and_saves_a_key_and_logout_removes_it() {
    let home = tempfile::tempdir().expect("temporary directory");
    let login = || command_at_home(home.path(), &["login", "--api-url", &control_plane().api_url, "--api-key", "-"]);
    run_with_input(login(), "capy_live_canary_wrong\n").fails(3, "invalid API key");
    let file = home.path().join("config/capydb/config.json");
    assert!(!file.exists(), "an invalid key is not saved");
    run_with_input(login(), "").fails(2, "no API key on standard input");
    let output = run_with_input(login(), &format!("{}\n", control_plane().api_key)).succeeds();
    assert!(output.stdout.contains("Logged in to") && !output.stdout.contains("capy_live_"), "{output:#?}");
    assert_eq!(fs::metadata(&file).expect("file metadata").permissions().mode() & 0o777, 0o600);
    let run_at_home = |arguments: &[&str]| run(command_at_home(home.path(), arguments));
    let me = run_at_home(&["whoami", "-o", "json"]).succeeds().json();
    assert!(me["me"]["organization"]["id"].is_string(), "{me}");
    let output = run_at_home(&["whoami"]).succeeds();
    assert!(output.stdout.contains("projects:write") && output.stdout.contains("the saved login"), "{output:#?}");
    run_at_home(&["projects", "list"]).succeeds();
    let config = run_at_home(&["config", "show"]).succeeds();
    assert!(config.stdout.contains("sha256:") && config.stdout.contains("from the saved login"), "{config:#?}");
    let doctor = run_at_home(&["doctor"]).succeeds();
    for expected in ["control_plane", "operational", "key", "valid for", "project", "pg_dump", "spool_folder"] {
        assert!(doctor.stdout.contains(expected), "{doctor:#?}");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("set permissions");
    let doctor = run_at_home(&["doctor", "-o", "json"]).succeeds().json();
    assert!(doctor.to_string().contains("chmod 600"), "{doctor}");
    run_at_home(&["logout"]).succeeds();
    run_at_home(&["whoami"]).fails(3, "capydb login");
    run_at_home(&["doctor"]).fails(3, "key");
    assert!(run_at_home(&["logout"]).succeeds().stdout.contains("You were not logged in"));
    assert!(!fs::read_to_string(&file).expect("read file").contains("capy_live_"));
}

#[test]
fn a_login_is_approved_or_denied_in_the_browser() {
    let home = tempfile::tempdir().expect("temporary directory");
    let start_login = || {
        let mut child = command_at_home(home.path(), &["login", "--api-url", &control_plane().api_url])
            .spawn()
            .expect("spawn capydb");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped stderr"));
        let mut page_url = String::new();
        while !page_url.contains("session=") {
            page_url.clear();
            assert!(
                stderr.read_line(&mut page_url).expect("a line") > 0,
                "the command ended before it printed the page's URL"
            );
        }
        (child, stderr, page_url.trim().to_owned())
    };
    let (child, mut stderr, page_url) = start_login();
    let session = page_url.split("session=").nth(1).expect("a session").to_owned();
    let (status, page_html) = ask("GET", &page_url, |request| request);
    assert_eq!(status, 200);
    assert!(page_html.as_str().is_some_and(|html| html.contains("<form") && html.contains("API key")), "{page_html}");
    let post_url = page_url.split('?').next().expect("a URL").to_owned();
    let decide = |key: &str, decision: &str, session: &str| {
        let body = format!("session={session}&api_key={key}&decision={decision}");
        ask("POST", &post_url, |request| request.header("Content-Type", "application/x-www-form-urlencoded").body(body))
    };
    assert_eq!(decide("capy_live_wrong", "approve", &session).0, 401);
    let (status, response) = decide(&control_plane().api_key, "approve", &session);
    assert_eq!(status, 200, "{response}");
    let output = Ran::of(&child.wait_with_output().expect("wait for capydb"));
    assert_eq!(output.code, 0, "{output:#?}");
    assert!(output.stdout.contains("Logged in to"), "{output:#?}");
    let mut stderr_text = String::new();
    stderr.read_to_string(&mut stderr_text).expect("read stderr");
    assert!(!stderr_text.contains("capy_live_") && !output.stdout.contains("capy_live_"));
    run(command_at_home(home.path(), &["projects", "list"])).succeeds();
    // The saved key is a new key, and the session is closed.
    let saved = fs::read_to_string(home.path().join("config/capydb/config.json")).expect("read file");
    assert!(saved.contains("capy_live_") && !saved.contains(&control_plane().api_key));
    assert_eq!(decide(&control_plane().api_key, "approve", &session).0, 404);
    assert_eq!(ask("GET", &page_url, |request| request).0, 404);
    // The user may deny the login.
    let (child, mut stderr, page_url) = start_login();
    let session = page_url.split("session=").nth(1).expect("a session").to_owned();
    assert_eq!(decide(&control_plane().api_key, "deny", &session).0, 200);
    let output = Ran::of(&child.wait_with_output().expect("wait for capydb"));
    let mut stderr_text = String::new();
    stderr.read_to_string(&mut stderr_text).expect("read stderr");
    assert_eq!(output.code, 3, "{stderr_text}");
    assert!(stderr_text.contains("was not approved"), "{stderr_text}");
}

#[test]
fn the_login_api_follows_the_contract() {
    let base = format!("{}/v1/cli/login/sessions", control_plane().api_url);
    let body = serde_json::json!({ "device_name": "<b>laptop</b>", "source": "test" });
    let (status, session) = ask("POST", &base, |request| request.json(&body));
    assert_eq!((status, &session["state"]), (201, &Value::from("pending")));
    let id = session["session_id"].as_str().expect("an id");
    let url = format!("{base}/{id}");
    assert_eq!(ask("GET", &url, |request| request).0, 401);
    assert_eq!(ask("GET", &url, |request| request.header("X-CapyDB-Poll-Token", "wrong")).0, 404);
    let token = session["poll_token"].as_str().expect("a token").to_owned();
    let session_state = || ask("GET", &url, |request| request.header("X-CapyDB-Poll-Token", &token)).1;
    assert_eq!(session_state()["state"], "pending");
    let origin = control_plane().api_url.replace("/api/capydb", "");
    let (_, page_html) = ask("GET", &format!("{origin}/dashboard/cli/login?session={id}"), |request| request);
    assert!(page_html.as_str().is_some_and(|html| html.contains("&lt;b&gt;laptop")), "{page_html}");
    let body = format!("session={id}&api_key={}&decision=approve", control_plane().api_key);
    let post_url = format!("{origin}/dashboard/cli/login");
    ask("POST", &post_url, |request| request.header("Content-Type", "application/x-www-form-urlencoded").body(body));
    let approved_session = session_state();
    assert_eq!(approved_session["state"], "approved");
    assert!(
        approved_session["plaintext_api_key"].as_str().is_some_and(|key| key.starts_with("capy_live_"))
            && approved_session["organization_id"].is_string()
    );
    assert!(session_state().get("plaintext_api_key").is_none(), "the key is returned only once");
}

#[test]
fn a_directory_is_linked_and_unlinked() {
    let home = tempfile::tempdir().expect("temporary directory");
    let project = control_plane().project("linked");
    let run_in_dir = |arguments: &[&str]| {
        let mut command = control_plane().capydb(arguments);
        command.current_dir(home.path());
        run(command)
    };
    run_in_dir(&["jobs", "list"]).fails(2, "no project chosen: the organization has several");
    let misspelled = format!("{}x", project.slug);
    run_in_dir(&["link", &misspelled]).fails(4, &format!("did you mean {}?", project.slug));
    let output = run_in_dir(&["link", &project.slug]).succeeds();
    assert!(output.stdout.contains(&format!("Linked this directory to project {}", project.slug)), "{output:#?}");
    let link: Value =
        serde_json::from_str(&fs::read_to_string(home.path().join(".capydb/project.json")).expect("read file"))
            .expect("JSON");
    assert_eq!(
        (&link["project_id"], &link["api_url"]),
        (&Value::from(project.id.clone()), &Value::from(control_plane().api_url.clone()))
    );
    run_in_dir(&["jobs", "list"]).succeeds();
    assert!(run_in_dir(&["config", "show"]).succeeds().stdout.contains(&project.slug));
    run_in_dir(&["unlink"]).succeeds();
    assert!(!home.path().join(".capydb").exists());
    assert!(run_in_dir(&["unlink"]).succeeds().stdout.contains("was not linked"));
}
