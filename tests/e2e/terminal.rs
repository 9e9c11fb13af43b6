//! What a person at a terminal meets. `script` makes the terminal.

use crate::support::Ran;
use crate::support::fixtures::{control_plane, fingerprint, open_folder, source};
use std::io::Write;
use std::process::Stdio;

/// Runs a command on a terminal of its own and types something.
fn on_a_terminal(arguments: &str, typed: &str) -> Ran {
    on_a_terminal_fed("", arguments, typed)
}

/// The same at the end of a pipe.
fn on_a_terminal_fed(feed: &str, arguments: &str, typed: &str) -> Ran {
    let line = format!("{feed}{} {arguments}", env!("CARGO_BIN_EXE_capydb"));
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
    command.args(["-qec", &line, "/dev/null"]).current_dir(open_folder()).env("TERM", "xterm").env_remove("NO_COLOR");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script runs");
    child.stdin.take().expect("a pipe").write_all(typed.as_bytes()).expect("typed");
    Ran::of(&child.wait_with_output().expect("ends"))
}

#[test]
fn recreate_asks_once_and_takes_no_for_an_answer() {
    let project = control_plane().project("asked");
    project.sql("create table old (x int)");
    let before = fingerprint(&project.url);
    let arguments =
        format!("import --project {} --recreate --wait --source-url '{}'", project.slug, source().url("sample"));
    let ran = on_a_terminal(&arguments, "n\n");
    assert_eq!(ran.code, 130, "{ran:#?}");
    assert!(
        ran.stdout.contains(&format!("of project {}", project.slug)) && ran.stdout.contains("nothing was changed"),
        "{ran:#?}"
    );
    assert_eq!(fingerprint(&project.url), before);
    let ran = on_a_terminal(&arguments, "yes\n");
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!(ran.stdout.matches("Continue?").count(), 1, "{ran:#?}");
    assert_eq!(project.sql("select count(*) from shop.customer"), "500");
    // With the source on standard input the terminal itself is asked.
    let piped = format!("import --project {} --recreate --wait --source-url -", project.slug);
    let ran = on_a_terminal_fed(&format!("echo '{}' | ", source().url("sample")), &piped, "n\n");
    assert_eq!((ran.code, ran.stdout.contains("nothing was changed")), (130, true), "{ran:#?}");
    let ran = on_a_terminal(&format!("{arguments} --confirm"), "");
    assert_eq!((ran.code, ran.stdout.contains("Continue?")), (0, false), "{ran:#?}");
}

#[test]
fn several_projects_are_offered() {
    control_plane().project("offered");
    let ran = on_a_terminal("jobs list", "1\n");
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.stdout.contains("Choose a project:") && ran.stdout.contains("project.create"), "{ran:#?}");
    let ran = control_plane().run(&["jobs", "list"]).fails(2, "no project chosen: the organization has several");
    assert!(ran.stderr.contains("--project") && ran.stderr.contains("dev"), "{ran:#?}");
}

#[test]
fn interrupting_a_wait_leaves_the_job_alone() {
    let project = control_plane().project("interrupted");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("postgres://u:p@127.0.0.1:{}/d", silent.local_addr().expect("an address").port());
    let body = serde_json::json!({ "confirm": true, "source_url": url });
    let (_, answer) = control_plane().call("POST", &format!("/v1/projects/{}/imports", project.id), Some(&body));
    let id = answer["job"]["id"].as_str().expect("an id");
    let mut child = control_plane().capydb(&["jobs", "wait", id]).spawn().expect("runs");
    // The first line shows that it handles signals.
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
    let mut said = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut said).expect("a line");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .expect("asked");
    std::io::Read::read_to_string(&mut stderr, &mut said).expect("the rest");
    assert_eq!(child.wait().expect("ends").code(), Some(130), "{said}");
    assert!(said.contains("the job is still running") && said.contains(&format!("capydb jobs wait {id}")), "{said}");
    control_plane().run(&["jobs", "wait", id]).fails(1, "did not respond");
}
