//! Logging in, linking, and looking at what is set.

use crate::support::fixtures::{ask, control_plane};
use crate::support::{Ran, capydb, run};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A command of a person with a home of their own and nothing in the environment.
fn at_home(home: &Path, arguments: &[&str]) -> Command {
    let mut command = capydb(arguments);
    command.env("HOME", home).env("XDG_CONFIG_HOME", home.join("config")).current_dir(home);
    command
}

fn with_input(mut command: Command, input: &str) -> Ran {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    Ran::of(&child.wait_with_output().expect("ends"))
}

#[test]
fn a_key_is_checked_saved_and_forgotten() {
    let home = tempfile::tempdir().expect("a home");
    let login = || at_home(home.path(), &["login", "--api-url", &control_plane().api_url, "--api-key", "-"]);
    with_input(login(), "capy_live_canary_wrong\n").fails(3, "invalid API key");
    let file = home.path().join("config/capydb/config.json");
    assert!(!file.exists(), "a key that is not valid is not saved");
    with_input(login(), "").fails(2, "no API key on standard input");
    let ran = with_input(login(), &format!("{}\n", control_plane().api_key)).succeeds();
    assert!(ran.stdout.contains("Logged in to") && !ran.stdout.contains("capy_live_"), "{ran:#?}");
    assert_eq!(fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
    let home_run = |arguments: &[&str]| run(at_home(home.path(), arguments));
    let me = home_run(&["whoami", "-o", "json"]).succeeds().json();
    assert!(me["me"]["organization"]["id"].is_string(), "{me}");
    let ran = home_run(&["whoami"]).succeeds();
    assert!(ran.stdout.contains("projects:write") && ran.stdout.contains("the saved login"), "{ran:#?}");
    home_run(&["projects", "list"]).succeeds();
    let shown = home_run(&["config", "show"]).succeeds();
    assert!(shown.stdout.contains("sha256:") && shown.stdout.contains("from the saved login"), "{shown:#?}");
    let doctor = home_run(&["doctor"]).succeeds();
    for word in ["control_plane", "operational", "key", "valid for", "project", "pg_dump", "spool_folder"] {
        assert!(doctor.stdout.contains(word), "{doctor:#?}");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("opened");
    let doctor = home_run(&["doctor", "-o", "json"]).succeeds().json();
    assert!(doctor.to_string().contains("chmod 600"), "{doctor}");
    home_run(&["logout"]).succeeds();
    home_run(&["whoami"]).fails(3, "capydb login");
    home_run(&["doctor"]).fails(3, "key");
    assert!(home_run(&["logout"]).succeeds().stdout.contains("You were not logged in"));
    assert!(!fs::read_to_string(&file).expect("reads").contains("capy_live_"));
}

#[test]
fn a_person_approves_in_the_browser() {
    let home = tempfile::tempdir().expect("a home");
    let begin = || {
        let mut child = at_home(home.path(), &["login", "--api-url", &control_plane().api_url]).spawn().expect("runs");
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut page = String::new();
        while !page.contains("session=") {
            page.clear();
            assert!(stderr.read_line(&mut page).expect("a line") > 0, "it ended before it printed the page");
        }
        (child, stderr, page.trim().to_owned())
    };
    let (child, mut rest, page) = begin();
    let session = page.split("session=").nth(1).expect("a session").to_owned();
    let (status, form) = ask("GET", &page, |request| request);
    assert_eq!(status, 200);
    assert!(form.as_str().is_some_and(|html| html.contains("<form") && html.contains("API key")), "{form}");
    let post = page.split('?').next().expect("an address").to_owned();
    let decide = |key: &str, decision: &str, session: &str| {
        let body = format!("session={session}&api_key={key}&decision={decision}");
        ask("POST", &post, |request| request.header("Content-Type", "application/x-www-form-urlencoded").body(body))
    };
    assert_eq!(decide("capy_live_wrong", "approve", &session).0, 401);
    let (status, answer) = decide(&control_plane().api_key, "approve", &session);
    assert_eq!(status, 200, "{answer}");
    let ran = Ran::of(&child.wait_with_output().expect("ends"));
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.stdout.contains("Logged in to"), "{ran:#?}");
    let mut said = String::new();
    rest.read_to_string(&mut said).expect("reads");
    assert!(!said.contains("capy_live_") && !ran.stdout.contains("capy_live_"));
    run(at_home(home.path(), &["projects", "list"])).succeeds();
    // The key is a new one, and the session is over.
    let saved = fs::read_to_string(home.path().join("config/capydb/config.json")).expect("reads");
    assert!(saved.contains("capy_live_") && !saved.contains(&control_plane().api_key));
    assert_eq!(decide(&control_plane().api_key, "approve", &session).0, 404);
    assert_eq!(ask("GET", &page, |request| request).0, 404);
    // A person may say no.
    let (child, mut rest, page) = begin();
    let session = page.split("session=").nth(1).expect("a session").to_owned();
    assert_eq!(decide(&control_plane().api_key, "deny", &session).0, 200);
    let ran = Ran::of(&child.wait_with_output().expect("ends"));
    let mut said = String::new();
    rest.read_to_string(&mut said).expect("reads");
    assert_eq!(ran.code, 3, "{said}");
    assert!(said.contains("was not approved"), "{said}");
}

#[test]
fn a_login_answers_as_the_contract_says() {
    let base = format!("{}/v1/cli/login/sessions", control_plane().api_url);
    let body = serde_json::json!({ "device_name": "<b>laptop</b>", "source": "test" });
    let (status, session) = ask("POST", &base, |request| request.json(&body));
    assert_eq!((status, &session["state"]), (201, &Value::from("pending")));
    let id = session["session_id"].as_str().expect("an id");
    let url = format!("{base}/{id}");
    assert_eq!(ask("GET", &url, |request| request).0, 401);
    assert_eq!(ask("GET", &url, |request| request.header("X-CapyDB-Poll-Token", "wrong")).0, 404);
    let token = session["poll_token"].as_str().expect("a token").to_owned();
    let state = || ask("GET", &url, |request| request.header("X-CapyDB-Poll-Token", &token)).1;
    assert_eq!(state()["state"], "pending");
    let origin = control_plane().api_url.replace("/api/capydb", "");
    let (_, form) = ask("GET", &format!("{origin}/dashboard/cli/login?session={id}"), |request| request);
    assert!(form.as_str().is_some_and(|html| html.contains("&lt;b&gt;laptop")), "{form}");
    let body = format!("session={id}&api_key={}&decision=approve", control_plane().api_key);
    let post = format!("{origin}/dashboard/cli/login");
    ask("POST", &post, |request| request.header("Content-Type", "application/x-www-form-urlencoded").body(body));
    let first = state();
    assert_eq!(first["state"], "approved");
    assert!(
        first["plaintext_api_key"].as_str().is_some_and(|key| key.starts_with("capy_live_"))
            && first["organization_id"].is_string()
    );
    assert!(state().get("plaintext_api_key").is_none(), "the key comes once");
}

#[test]
fn a_directory_is_linked_and_unlinked() {
    let home = tempfile::tempdir().expect("a home");
    let project = control_plane().project("linked");
    let at = |arguments: &[&str]| {
        let mut command = control_plane().capydb(arguments);
        command.current_dir(home.path());
        run(command)
    };
    at(&["jobs", "list"]).fails(2, "no project chosen: the organization has several");
    let near = format!("{}x", project.slug);
    at(&["link", &near]).fails(4, &format!("did you mean {}?", project.slug));
    let ran = at(&["link", &project.slug]).succeeds();
    assert!(ran.stdout.contains(&format!("Linked this directory to project {}", project.slug)), "{ran:#?}");
    let link: Value =
        serde_json::from_str(&fs::read_to_string(home.path().join(".capydb/project.json")).expect("reads"))
            .expect("JSON");
    assert_eq!(
        (&link["project_id"], &link["api_url"]),
        (&Value::from(project.id.clone()), &Value::from(control_plane().api_url.clone()))
    );
    at(&["jobs", "list"]).succeeds();
    assert!(at(&["config", "show"]).succeeds().stdout.contains(&project.slug));
    at(&["unlink"]).succeeds();
    assert!(!home.path().join(".capydb").exists());
    assert!(at(&["unlink"]).succeeds().stdout.contains("was not linked"));
}
