//! Arguments, settings, links and saved logins: precedence, errors and protection of secrets.

use crate::support::mock_http::{MockServer, Response};
use crate::support::{capydb, run};
use crate::{KEY, run_against, success_response, temp_dir};
use std::fs;

#[test]
fn arguments_are_checked_before_the_api_key() {
    let cases: [(&[&str], &str); 13] = [
        (&["import"], "no source given"),
        (&["import", "--source-url", "postgres://u@h/d", "--file", "x"], "cannot be used with"),
        (&["import", "--file", "x", "--detach", "--wait-timeout", "2h"], "cannot be used with"),
        (&["import", "--source-url", "http://h/d"], "dumps cannot be imported from a web address"),
        (&["import", "--source-url", "mysql://h/d"], "expected a URL that starts with postgres://"),
        (&["import", "--source-url", "postgres:///d"], "has no host"),
        (&["import", "--source-url", "postgres://u@h"], "has no database"),
        (&["import", "--source-url", "postgres://u@a,b/d"], "several hosts"),
        (&["import", "--source-url", "postgres://u@h:99999/d"], "invalid port"),
        (&["import", "--source-url", "postgres://u:canary@h/d?sslmode=maybe"], "sslmode=maybe"),
        (&["import", "--source-url", "postgres://u:canary@h/d?host=/tmp"], "the parameter `host`"),
        (&["import", "--sorce-url", "x"], "--source-url"),
        (&["projects", "list", "--api-url", "nonsense"], "not an http or https URL"),
    ];
    for (arguments, message) in cases {
        let ran = run(capydb(arguments)).fails(2, message);
        assert!(ran.stdout.is_empty() && !ran.stderr.contains("canary"), "{ran:#?}");
        let ran = run(capydb(&[arguments, &["-o", "json"]].concat()));
        assert_eq!((ran.code, &ran.json()["error"]["code"]), (2, &serde_json::json!("usage")), "{ran:#?}");
    }
}

#[test]
fn a_missing_key_is_an_authentication_error() {
    run(capydb(&["projects", "list"])).fails(3, "CAPYDB_API_KEY");
    let ran = run(capydb(&["projects", "list", "-o", "json"]));
    assert_eq!((ran.code, &ran.json()["error"]["code"]), (3, &serde_json::json!("auth")));
}

#[test]
fn precedence_is_flag_then_environment_then_link_then_login() {
    let mock_http = MockServer::start(|mock_http, request, _| success_response(mock_http, request));
    let other = MockServer::start(|_, _, _| Response::Json(500, "{}".into()));
    let home = temp_dir();
    let config = home.path().join("config/capydb");
    fs::create_dir_all(&config).expect("create the directory");
    let write_login = |url: &str, key: &str| {
        let text = format!(
            r#"{{"active_org":"o","organizations":{{"o":{{"api_key":"{key}","api_url":"{url}","app_url":"","name":"O","slug":"o"}}}}}}"#
        );
        fs::write(config.join("config.json"), text).expect("write the login");
    };
    let command = |arguments: &[&str]| {
        let mut command = capydb(arguments);
        command.env("XDG_CONFIG_HOME", home.path().join("config")).current_dir(home.path());
        command
    };
    let list_jobs = ["jobs", "list"];
    write_login(&mock_http.api_url(), KEY);
    run(command(&list_jobs)).succeeds();
    // The link overrides the URL of the login and selects the project.
    write_login(&format!("{}/elsewhere", mock_http.api_url()), KEY);
    fs::create_dir(home.path().join(".capydb")).expect("create the directory");
    let link = format!(
        r#"{{"project_id":"p1","project_name":"Shop","project_slug":"shop","api_url":"{}","later":1}}"#,
        mock_http.api_url()
    );
    fs::write(home.path().join(".capydb/project.json"), link).expect("write the link");
    run(command(&list_jobs)).succeeds();
    // The saved key is not sent to another server that a link names.
    write_login(&other.api_url(), KEY);
    run(command(&list_jobs)).fails(3, "no API key");
    assert_eq!(other.lines(), Vec::<String>::new());
    write_login(&mock_http.api_url(), KEY);
    // The environment overrides both; a flag overrides the environment.
    let mut with_environment = command(&["jobs", "list", "--project", "shop"]);
    with_environment.env("CAPYDB_API_URL", other.api_url());
    run(with_environment).fails(1, "has an internal error");
    let mut with_flag = command(&["jobs", "list", "--api-url", &mock_http.api_url(), "--api-key", "flag_key"]);
    with_flag.env("CAPYDB_API_URL", other.api_url()).env("CAPYDB_API_KEY", "environment_key");
    run(with_flag).succeeds();
    let keys: Vec<String> =
        mock_http.requests().iter().filter_map(|request| request.header("authorization").map(str::to_owned)).collect();
    // Two requests each from two commands with the saved key, then two with the key of the flag.
    assert_eq!(keys.len(), 6, "{keys:?}");
    assert!(keys[..4].iter().all(|key| *key == format!("Bearer {KEY}")), "{keys:?}");
    assert!(keys[4..].iter().all(|key| key == "Bearer flag_key"), "{keys:?}");
    // The error names an invalid file but does not show its content.
    fs::write(config.join("config.json"), r#"{"api_key":"capy_live_canary"#).expect("write the login");
    let ran = run(command(&list_jobs)).fails(1, "config.json is not valid");
    assert!(!ran.stderr.contains("canary"), "{ran:#?}");
}

#[test]
fn no_secret_is_printed_at_the_highest_verbosity() {
    let mock_http = MockServer::start(|mock_http, request, before| match (request.line().as_str(), before % 2) {
        ("PUT /put", 0) => Response::Drop,
        ("POST /v1/projects/p1/imports", _) => Response::Json(500, r#"{"error":"no"}"#.into()),
        _ => success_response(mock_http, request),
    });
    let dir = temp_dir();
    let dump = crate::write_dump(&dir);
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
        let ran = run_against(&mock_http, &[command, &["-vv"]].concat());
        assert!(!format!("{ran:?}").contains("canary"), "{ran:#?}");
    }
}

#[test]
fn a_link_to_another_control_plane_does_not_select_a_project() {
    let mock_http = MockServer::start(|mock_http, request, _| success_response(mock_http, request));
    let home = temp_dir();
    fs::create_dir(home.path().join(".capydb")).expect("create the directory");
    let link = r#"{"project_id":"hosted","api_url":"https://capydb.dev/api/capydb"}"#;
    fs::write(home.path().join(".capydb/project.json"), link).expect("write the link");
    let mut command = capydb(&["jobs", "list"]);
    command.current_dir(home.path()).env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY);
    // Without --project, --recreate would replace a project that is not the linked one.
    run(command).fails(5, "linked to a project of https://capydb.dev/api/capydb");
    let mut command = capydb(&["jobs", "list", "--project", "shop"]);
    command.current_dir(home.path()).env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY);
    run(command).succeeds();
}

/// A cloned directory can contain a link to a server that the user did not choose.
#[test]
fn a_link_alone_does_not_send_the_key_or_the_source_url_to_its_server() {
    let mock_http = MockServer::start(|mock_http, request, _| success_response(mock_http, request));
    let home = temp_dir();
    fs::create_dir(home.path().join(".capydb")).expect("create the directory");
    let link = r#"{"project_id":"p1","project_name":null,"api_url":"http://control.capydb.example/api/capydb"}"#;
    fs::write(home.path().join(".capydb/project.json"), link).expect("write the link");
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
    assert_eq!(mock_http.lines(), Vec::<String>::new(), "no request was sent");
    let mut with_flag = capydb(&["jobs", "list", "--api-url", "http://control.capydb.example/api/capydb"]);
    with_flag.current_dir(home.path()).env("CAPYDB_API_KEY", KEY).env("http_proxy", &proxy);
    run(with_flag);
    assert!(!mock_http.requests().is_empty(), "a server given with --api-url is used");
}

#[test]
fn a_proxy_is_not_used_for_loopback_addresses() {
    let mock_http = MockServer::start(|mock_http, request, _| success_response(mock_http, request));
    let mut command = capydb(&["projects", "list", "--api-url", &mock_http.api_url()]);
    command.env("CAPYDB_API_KEY", KEY).env("http_proxy", "http://127.0.0.1:9");
    run(command).succeeds();
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let mock_http = MockServer::start(|mock_http, request, _| success_response(mock_http, request));
    let mut command = capydb(&["projects", "list"]);
    command.env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("open /dev/full");
    run_with_stdout(command, full.into()).fails(1, "cannot write the result");
}

fn run_with_stdout(mut command: std::process::Command, stdout: std::process::Stdio) -> crate::support::Ran {
    let child = command.stdout(stdout).spawn().expect("run capydb");
    crate::support::Ran::of(&child.wait_with_output().expect("wait for capydb"))
}
