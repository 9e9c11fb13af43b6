//! Settings and saved files that are wrong or damaged.

use crate::support::mock_http::{Answer, Peer};
use crate::support::{capydb, run};
use crate::{KEY, against, folder, works};
use std::fs;

#[test]
fn the_command_line_is_checked_first() {
    let cases: [(&[&str], &str); 12] = [
        (&["import"], "no source given"),
        (&["import", "--source-url", "postgres://u@h/d", "--file", "x"], "cannot be used with"),
        (&["import", "--file", "x", "--wait-timeout", "2h"], "--wait"),
        (&["import", "--source-url", "http://h/d"], "expected a URL that starts with postgres://"),
        (&["import", "--source-url", "postgres:///d"], "has no host"),
        (&["import", "--source-url", "postgres://u@h"], "has no database"),
        (&["import", "--source-url", "postgres://u@a,b/d"], "several hosts"),
        (&["import", "--source-url", "postgres://u@h:99999/d"], "invalid port"),
        (&["import", "--source-url", "postgres://u:canary@h/d?sslmode=maybe"], "sslmode=maybe"),
        (&["import", "--source-url", "postgres://u:canary@h/d?host=/tmp"], "the parameter `host`"),
        (&["import", "--sorce-url", "x"], "--source-url"),
        (&["projects", "list", "--api-url", "nonsense"], "not an http or https URL"),
    ];
    for (arguments, words) in cases {
        let ran = run(capydb(arguments)).fails(2, words);
        assert!(ran.stdout.is_empty() && !ran.stderr.contains("canary"), "{ran:#?}");
        let ran = run(capydb(&[arguments, &["-o", "json"]].concat()));
        assert_eq!((ran.code, &ran.json()["error"]["code"]), (2, &serde_json::json!("usage")), "{ran:#?}");
    }
}

#[test]
fn without_a_key_nothing_is_called() {
    run(capydb(&["projects", "list"])).fails(3, "CAPYDB_API_KEY");
    let ran = run(capydb(&["projects", "list", "-o", "json"]));
    assert_eq!((ran.code, &ran.json()["error"]["code"]), (3, &serde_json::json!("auth")));
}

#[test]
fn settings_come_from_flags_before_environment_before_link_before_login() {
    let mock_http = Peer::start(|mock_http, request, _| works(mock_http, request));
    let other = Peer::start(|_, _, _| Answer::Json(500, "{}".into()));
    let home = folder();
    let config = home.path().join("config/capydb");
    fs::create_dir_all(&config).expect("made");
    let login = |url: &str, key: &str| {
        let text = format!(
            r#"{{"active_org":"o","organizations":{{"o":{{"api_key":"{key}","api_url":"{url}","app_url":"","name":"O","slug":"o"}}}}}}"#
        );
        fs::write(config.join("config.json"), text).expect("written");
    };
    let command = |arguments: &[&str]| {
        let mut command = capydb(arguments);
        command.env("XDG_CONFIG_HOME", home.path().join("config")).current_dir(home.path());
        command
    };
    let list = ["jobs", "list"];
    login(&mock_http.api_url(), KEY);
    run(command(&list)).succeeds();
    // The link beats the login's address, and names the project.
    login(&format!("{}/elsewhere", mock_http.api_url()), KEY);
    fs::create_dir(home.path().join(".capydb")).expect("made");
    let link = format!(
        r#"{{"project_id":"p1","project_name":"Shop","project_slug":"shop","api_url":"{}","later":1}}"#,
        mock_http.api_url()
    );
    fs::write(home.path().join(".capydb/project.json"), link).expect("written");
    run(command(&list)).succeeds();
    // A link to another server does not get the saved key, whoever wrote the link.
    login(&other.api_url(), KEY);
    run(command(&list)).fails(3, "no API key");
    assert_eq!(other.lines(), Vec::<String>::new());
    login(&mock_http.api_url(), KEY);
    // The environment beats both, a flag beats the environment.
    let mut by_environment = command(&["jobs", "list", "--project", "shop"]);
    by_environment.env("CAPYDB_API_URL", other.api_url());
    run(by_environment).fails(1, "has an internal error");
    let mut by_flag = command(&["jobs", "list", "--api-url", &mock_http.api_url(), "--api-key", "flag_key"]);
    by_flag.env("CAPYDB_API_URL", other.api_url()).env("CAPYDB_API_KEY", "environment_key");
    run(by_flag).succeeds();
    let keys: Vec<String> =
        mock_http.seen().iter().filter_map(|request| request.header("authorization").map(str::to_owned)).collect();
    // Two commands of two calls each with the saved key, then one with the flag's.
    assert_eq!(keys.len(), 6, "{keys:?}");
    assert!(keys[..4].iter().all(|key| *key == format!("Bearer {KEY}")), "{keys:?}");
    assert!(keys[4..].iter().all(|key| key == "Bearer flag_key"), "{keys:?}");
    // A broken file is named, and its text is not.
    fs::write(config.join("config.json"), r#"{"api_key":"capy_live_canary"#).expect("written");
    let ran = run(command(&list)).fails(1, "config.json is not valid");
    assert!(!ran.stderr.contains("canary"), "{ran:#?}");
}

#[test]
fn no_secret_shows_at_the_highest_verbosity() {
    let mock_http = Peer::start(|mock_http, request, before| match (request.line().as_str(), before % 2) {
        ("PUT /put", 0) => Answer::Drop,
        ("POST /v1/projects/p1/imports", _) => Answer::Json(500, r#"{"error":"no"}"#.into()),
        _ => works(mock_http, request),
    });
    let folder = folder();
    let dump = crate::dump(&folder);
    let url = "postgres://u:canary_password@db.example.com/d?sslpassword2=canary_parameter";
    let commands: [&[&str]; 8] = [
        &["import", "--source-url", url],
        &["import", "--source-url", url, "-o", "json"],
        &["import", "preflight", "--source-url", url],
        &["import", "--file", &dump],
        &["projects", "list"],
        &["jobs", "get", "j1"],
        &["jobs", "wait", "j1"],
        &["jobs", "list"],
    ];
    for command in commands {
        let ran = against(&mock_http, &[command, &["-vv"]].concat());
        assert!(!format!("{ran:?}").contains("canary"), "{ran:#?}");
    }
}

#[test]
fn a_link_to_another_control_plane_names_no_project_of_this_one() {
    let mock_http = Peer::start(|mock_http, request, _| works(mock_http, request));
    let home = folder();
    fs::create_dir(home.path().join(".capydb")).expect("made");
    let link = r#"{"project_id":"hosted","api_url":"https://capydb.dev/api/capydb"}"#;
    fs::write(home.path().join(".capydb/project.json"), link).expect("written");
    let mut command = capydb(&["jobs", "list"]);
    command.current_dir(home.path()).env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY);
    // Another project than the linked one must be named: with --recreate it would be replaced.
    run(command).fails(5, "linked to a project of https://capydb.dev/api/capydb");
    let mut command = capydb(&["jobs", "list", "--project", "shop"]);
    command.current_dir(home.path()).env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY);
    run(command).succeeds();
}

/// Whoever cloned a directory has not chosen the server that its link names.
#[test]
fn a_link_alone_draws_no_key_and_no_source_to_its_server() {
    let mock_http = Peer::start(|mock_http, request, _| works(mock_http, request));
    let home = folder();
    fs::create_dir(home.path().join(".capydb")).expect("made");
    let link = r#"{"project_id":"p1","project_name":null,"api_url":"http://control.capydb.example/api/capydb"}"#;
    fs::write(home.path().join(".capydb/project.json"), link).expect("written");
    let proxy = mock_http.api_url().replace("/api/capydb", "");
    let source = "postgres://u:canary_password@db.example.com/d";
    for arguments in [&["projects", "list"][..], &["import", "--source-url", source], &["whoami"], &["doctor"]] {
        let mut command = capydb(arguments);
        command.current_dir(home.path()).env("CAPYDB_API_KEY", KEY).env("http_proxy", &proxy);
        let ran = run(command);
        assert!(ran.code != 0 && format!("{ran:?}").contains("have not used before"), "{ran:#?}");
    }
    let mut completion = capydb(&["--", "capydb", "import", "--project", ""]);
    completion.current_dir(home.path()).env("CAPYDB_API_KEY", KEY).env("http_proxy", &proxy);
    completion.env("CAPYDB_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "3").env("_CLAP_IFS", "\n");
    run(completion);
    assert_eq!(mock_http.lines(), Vec::<String>::new(), "nothing was sent");
    let mut named = capydb(&["jobs", "list", "--api-url", "http://control.capydb.example/api/capydb"]);
    named.current_dir(home.path()).env("CAPYDB_API_KEY", KEY).env("http_proxy", &proxy);
    run(named);
    assert!(!mock_http.seen().is_empty(), "once it is named it is used");
}

#[test]
fn a_proxy_is_not_used_for_this_machine() {
    let mock_http = Peer::start(|mock_http, request, _| works(mock_http, request));
    let mut command = capydb(&["projects", "list", "--api-url", &mock_http.api_url()]);
    command.env("CAPYDB_API_KEY", KEY).env("http_proxy", "http://127.0.0.1:9");
    run(command).succeeds();
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let mock_http = Peer::start(|mock_http, request, _| works(mock_http, request));
    let mut command = capydb(&["projects", "list"]);
    command.env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("opens");
    run_into(command, full.into()).fails(1, "cannot write the result");
}

fn run_into(mut command: std::process::Command, stdout: std::process::Stdio) -> crate::support::Ran {
    let child = command.stdout(stdout).spawn().expect("runs");
    crate::support::Ran::of(&child.wait_with_output().expect("ends"))
}
