//! Tests of prompts and signals on a terminal, which `script` provides.

use crate::support::Ran;
use crate::support::fixtures::{control_plane, fingerprint, source, test_dir};
use std::io::Write;
use std::process::Stdio;

/// Runs a command on its own terminal with the given input.
fn on_a_terminal(arguments: &str, input: &str) -> Ran {
    on_a_terminal_with_prefix("", arguments, input)
}

/// The same, with `pipe_prefix` in front of the command line.
fn on_a_terminal_with_prefix(pipe_prefix: &str, arguments: &str, input: &str) -> Ran {
    let line = format!("{pipe_prefix}{} {arguments}", env!("CARGO_BIN_EXE_capydb"));
    let mut command = control_plane().capydb(&[]);
    let environment: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = std::process::Command::new("script");
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(["-qec", &line, "/dev/null"]).current_dir(test_dir()).env("TERM", "xterm").env_remove("NO_COLOR");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("spawn script");
    child.stdin.take().expect("piped stdin").write_all(input.as_bytes()).expect("write to stdin");
    Ran::of(&child.wait_with_output().expect("wait for capydb"))
}

#[test]
fn recreate_asks_for_confirmation_once() {
    let project = control_plane().project("asked");
    project.sql("create table old (x int)");
    let before = fingerprint(&project.url);
    let arguments =
        format!("import --project {} --recreate --wait --source-url '{}'", project.slug, source().url("sample"));
    let output = on_a_terminal(&arguments, "n\n");
    assert_eq!(output.code, 130, "{output:#?}");
    assert!(
        output.stdout.contains(&format!("of project {}", project.slug))
            && output.stdout.contains("nothing was changed"),
        "{output:#?}"
    );
    assert_eq!(fingerprint(&project.url), before);
    let output = on_a_terminal(&arguments, "yes\n");
    assert_eq!(output.code, 0, "{output:#?}");
    assert_eq!(output.stdout.matches("Continue?").count(), 1, "{output:#?}");
    assert_eq!(project.sql("select count(*) from shop.customer"), "500");
    // With the source URL on standard input the prompt reads from the terminal.
    let stdin_arguments = format!("import --project {} --recreate --wait --source-url -", project.slug);
    let output = on_a_terminal_with_prefix(&format!("echo '{}' | ", source().url("sample")), &stdin_arguments, "n\n");
    assert_eq!((output.code, output.stdout.contains("nothing was changed")), (130, true), "{output:#?}");
    let output = on_a_terminal(&format!("{arguments} --confirm"), "");
    assert_eq!((output.code, output.stdout.contains("Continue?")), (0, false), "{output:#?}");
}

#[test]
fn the_user_chooses_one_of_several_projects() {
    control_plane().project("offered");
    let output = on_a_terminal("jobs list", "1\n");
    assert_eq!(output.code, 0, "{output:#?}");
    assert!(output.stdout.contains("Choose a project:") && output.stdout.contains("project.create"), "{output:#?}");
    let output = control_plane().run(&["jobs", "list"]).fails(2, "no project chosen: the organization has several");
    assert!(output.stderr.contains("--project") && output.stderr.contains("dev"), "{output:#?}");
}

#[test]
fn interrupting_a_wait_does_not_stop_the_job() {
    let project = control_plane().project("interrupted");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let url = format!("postgres://u:p@127.0.0.1:{}/d", silent.local_addr().expect("local address").port());
    let body = serde_json::json!({ "confirm": true, "source_url": url });
    let (_, response) = control_plane().call("POST", &format!("/v1/projects/{}/imports", project.id), Some(&body));
    let id = response["job"]["id"].as_str().expect("an id");
    let mut child = control_plane().capydb(&["jobs", "wait", id]).spawn().expect("spawn capydb");
    // The signal handler is installed before the first line is printed.
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("piped stderr"));
    let mut stderr_text = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut stderr_text).expect("a line");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .expect("send signal");
    std::io::Read::read_to_string(&mut stderr, &mut stderr_text).expect("read stderr");
    assert_eq!(child.wait().expect("wait for capydb").code(), Some(130), "{stderr_text}");
    assert!(
        stderr_text.contains("the job is still running") && stderr_text.contains(&format!("capydb jobs wait {id}")),
        "{stderr_text}"
    );
    control_plane().run(&["jobs", "wait", id]).fails(1, "did not respond");
}
