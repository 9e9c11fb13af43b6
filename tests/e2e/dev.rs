//! Tests of `capydb dev`: start, stop, and restart.

use crate::support::fixtures::{ControlPlane, control_plane, postgres, test_dir};
use crate::support::{capydb, run};
use std::os::unix::fs::PermissionsExt;

#[test]
fn projects_and_the_key_survive_a_restart() {
    let control_plane = ControlPlane::start(&[]);
    control_plane.project("persistent").sql("create table t as select 7 as x");
    let (key, data_dir) = (control_plane.api_key.clone(), control_plane.data_dir.clone());
    drop(control_plane);
    let control_plane = ControlPlane::restart(&data_dir);
    assert_eq!(control_plane.api_key, key);
    let url = control_plane.run(&["projects", "url", "--project", "persistent"]).succeeds().stdout;
    assert_eq!(crate::support::fixtures::psql(url.trim(), "select x from t"), "7");
}

#[test]
fn dev_runs_a_command_and_returns_its_exit_code() {
    let bin = postgres(17);
    let start = |arguments: &[&str]| {
        let mut command = capydb(&["dev", "--ephemeral", "--postgres-bin"]);
        command.arg(&bin).arg("--").args(arguments);
        command
    };
    let temp_dir = test_dir();
    let mut command = start(&["sh", "-c", "\"$CAPYDB\" projects list -o json; exit 7"]);
    command.env("CAPYDB", env!("CARGO_BIN_EXE_capydb")).env("TMPDIR", &temp_dir);
    let output = run(command);
    assert_eq!(output.code, 7, "{output:#?}");
    assert_eq!(output.json()["projects"][0]["slug"], "dev");
    assert_eq!(std::fs::read_dir(&temp_dir).expect("list directory").count(), 0, "the data is removed");
    run(start(&["/no/such/program"])).fails(1, "cannot run /no/such/program");
}

#[test]
fn secret_files_are_readable_by_their_owner_only() {
    for name in ["secrets.json", "api-key"] {
        let mode = std::fs::metadata(control_plane().data_dir.join(name)).expect("file metadata").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

/// Without a login, commands of the same user find a running `capydb dev`; a given server comes before it.
#[test]
fn commands_find_a_running_dev() {
    let dev = ControlPlane::start(&[]);
    let find = |arguments: &[&str], url: Option<&str>| {
        let mut command = capydb(arguments);
        command.env("CAPYDB_DEV_DIR", &dev.data_dir).envs(url.map(|url| ("CAPYDB_API_URL", url)));
        run(command)
    };
    let found = find(&["projects", "list"], None).succeeds();
    assert!(found.stderr.contains(&format!("Using capydb dev at {}", dev.api_url)), "{found:#?}");
    assert!(!find(&["projects", "list", "-q"], None).succeeds().stderr.contains("Using"));
    find(&["projects", "list"], Some(&format!("http://{}", dev.address()))).succeeds();
    find(&["projects", "list"], Some("http://127.0.0.1:1")).fails(3, "no API key");
    find(&["projects", "list", "--api-key", "wrong"], None).fails(1, "capydb.dev");
    let data_dir = dev.kill();
    let mut command = capydb(&["projects", "list"]);
    command.env("CAPYDB_DEV_DIR", &data_dir);
    run(command).fails(3, "no API key");
}

#[test]
fn a_directory_or_port_in_use_is_refused() {
    let bin = postgres(17);
    let dev = |arguments: &[&str]| {
        let mut command = capydb(&["dev", "--postgres-bin"]);
        command.arg(&bin).args(arguments).args(["--", "true"]);
        run(command)
    };
    let data_dir = control_plane().data_dir.to_str().expect("UTF-8 path");
    dev(&["--data-dir", data_dir, "--port", "0"]).fails(1, "another capydb dev is using");
    let port = control_plane().api_url.split(':').nth(2).and_then(|rest| rest.split('/').next()).expect("a port");
    dev(&["--ephemeral", "--port", port]).fails(1, "choose another with --port");
    let other_dir = test_dir();
    std::fs::write(other_dir.join("notes.txt"), "notes").expect("write file");
    dev(&["--data-dir", other_dir.to_str().expect("UTF-8 path"), "--port", "0"]).fails(1, "contains other files");
    let mut command = capydb(&["dev", "--ephemeral", "--postgres-bin", "/nowhere", "--", "true"]);
    run({
        command.env("TMPDIR", test_dir());
        command
    })
    .fails(1, "/nowhere does not contain postgres");
}

#[test]
fn an_interrupt_stops_dev() {
    use std::io::{BufRead, BufReader};
    let dir = test_dir();
    let mut command = capydb(&["dev", "--port", "0", "--postgres-bin"]);
    command.arg(postgres(17)).arg("--data-dir").arg(dir.join("data"));
    let mut child = command.spawn().expect("spawn capydb");
    let banner: Vec<String> = BufReader::new(child.stdout.take().expect("piped stdout"))
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.contains("Ctrl-C stops it"))
        .collect();
    let banner = banner.join("\n");
    assert!(banner.contains("export CAPYDB_API_URL=http://127.0.0.1:") && banner.contains("$(cat "), "{banner}");
    assert!(!banner.contains("capy_live_"), "{banner}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("send signal");
    let output = crate::support::Ran::of(&child.wait_with_output().expect("wait for capydb")).succeeds();
    assert!(output.stderr.contains("Stopped."), "{output:#?}");
    assert!(!dir.join("data/postgres/data/postmaster.pid").exists());
}

#[test]
fn a_signal_stops_the_command_and_removes_the_data() {
    use rustix::process::{Pid, Signal, kill_process};
    for signal in [Signal::TERM, Signal::HUP] {
        let temp_dir = test_dir();
        let mut command = capydb(&["dev", "--ephemeral", "--postgres-bin"]);
        command.arg(postgres(17)).env("TMPDIR", &temp_dir).args(["--", "sh", "-c", "echo started; exec sleep 600"]);
        let mut child = command.spawn().expect("spawn capydb");
        let mut line = String::new();
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(child.stdout.take().expect("piped stdout")),
            &mut line,
        )
        .expect("a line");
        kill_process(Pid::from_child(&child), signal).expect("send signal");
        assert_eq!(child.wait().expect("wait for capydb").code(), Some(128 + 15), "the command received SIGTERM");
        assert_eq!(std::fs::read_dir(&temp_dir).expect("list directory").count(), 0, "{signal:?}");
    }
}
