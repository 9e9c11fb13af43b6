//! Starting, stopping, and starting again.

use crate::support::fixtures::{ControlPlane, control_plane, open_folder, postgres};
use crate::support::{capydb, run};
use std::os::unix::fs::PermissionsExt;

#[test]
fn everything_is_still_there_after_a_restart() {
    let control_plane = ControlPlane::start(&[]);
    control_plane.project("stays").sql("create table t as select 7 as x");
    let (key, data_dir) = (control_plane.api_key.clone(), control_plane.data_dir.clone());
    drop(control_plane);
    let control_plane = ControlPlane::start_again(&data_dir);
    assert_eq!(control_plane.api_key, key);
    let url = control_plane.run(&["projects", "url", "--project", "stays"]).succeeds().stdout;
    assert_eq!(crate::support::fixtures::psql(url.trim(), "select x from t"), "7");
}

#[test]
fn a_command_runs_inside_and_its_code_is_ours() {
    let bin = postgres(17);
    let start = |words: &[&str]| {
        let mut command = capydb(&["dev", "--ephemeral", "--postgres-bin"]);
        command.arg(&bin).arg("--").args(words);
        command
    };
    let temporary = open_folder();
    let mut command = start(&["sh", "-c", "\"$CAPYDB\" projects list -o json; exit 7"]);
    command.env("CAPYDB", env!("CARGO_BIN_EXE_capydb")).env("TMPDIR", &temporary);
    let ran = run(command);
    assert_eq!(ran.code, 7, "{ran:#?}");
    assert_eq!(ran.json()["projects"][0]["slug"], "dev");
    assert_eq!(std::fs::read_dir(&temporary).expect("lists").count(), 0, "the data is thrown away");
    run(start(&["/no/such/program"])).fails(1, "cannot run /no/such/program");
}

#[test]
fn secrets_are_for_their_owner_only() {
    for name in ["secrets.json", "api-key"] {
        let mode = std::fs::metadata(control_plane().data_dir.join(name)).expect("is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[test]
fn a_folder_or_port_in_use_is_refused() {
    let bin = postgres(17);
    let with = |arguments: &[&str]| {
        let mut command = capydb(&["dev", "--postgres-bin"]);
        command.arg(&bin).args(arguments).args(["--", "true"]);
        run(command)
    };
    let folder = control_plane().data_dir.to_str().expect("a path");
    with(&["--data-dir", folder, "--port", "0"]).fails(1, "another capydb dev is using");
    let port = control_plane().api_url.split(':').nth(2).and_then(|rest| rest.split('/').next()).expect("a port");
    with(&["--ephemeral", "--port", port]).fails(1, "choose another with --port");
    let foreign = open_folder();
    std::fs::write(foreign.join("letter.txt"), "dear").expect("written");
    with(&["--data-dir", foreign.to_str().expect("a path"), "--port", "0"]).fails(1, "contains other files");
    let mut command = capydb(&["dev", "--ephemeral", "--postgres-bin", "/nowhere", "--", "true"]);
    run({
        command.env("TMPDIR", open_folder());
        command
    })
    .fails(1, "/nowhere does not contain postgres");
}

#[test]
fn it_stops_when_asked() {
    use std::io::{BufRead, BufReader};
    let folder = open_folder();
    let mut command = capydb(&["dev", "--port", "0", "--postgres-bin"]);
    command.arg(postgres(17)).arg("--data-dir").arg(folder.join("data"));
    let mut child = command.spawn().expect("runs");
    let banner: Vec<String> = BufReader::new(child.stdout.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.contains("Ctrl-C stops it"))
        .collect();
    let banner = banner.join("\n");
    assert!(banner.contains("export CAPYDB_API_URL=http://127.0.0.1:") && banner.contains("$(cat "), "{banner}");
    assert!(!banner.contains("capy_live_"), "{banner}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("asked");
    let ran = crate::support::Ran::of(&child.wait_with_output().expect("ends")).succeeds();
    assert!(ran.stderr.contains("Stopped."), "{ran:#?}");
    assert!(!folder.join("data/postgres/data/postmaster.pid").exists());
}

#[test]
fn whoever_ends_it_nothing_is_left() {
    use rustix::process::{Pid, Signal, kill_process};
    for signal in [Signal::TERM, Signal::HUP] {
        let temporary = open_folder();
        let mut command = capydb(&["dev", "--ephemeral", "--postgres-bin"]);
        command.arg(postgres(17)).env("TMPDIR", &temporary).args(["--", "sh", "-c", "echo up; exec sleep 600"]);
        let mut child = command.spawn().expect("runs");
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().expect("a pipe")), &mut line)
            .expect("a line");
        kill_process(Pid::from_child(&child), signal).expect("asked");
        assert_eq!(child.wait().expect("ends").code(), Some(128 + 15), "the command was told to end");
        assert_eq!(std::fs::read_dir(&temporary).expect("lists").count(), 0, "{signal:?}");
    }
}
