//! How the tool looks on all kinds of terminals and streams.

use crate::support::mock_http::Peer;
use crate::support::{Ran, capydb, run};
use crate::{KEY, against, folder, works};
use std::process::{Command, Stdio};

/// What all colours begin with.
const ESCAPE: &str = "\u{1b}[";

fn is_coloured(text: &str) -> bool {
    ["1m", "31m", "32m", "33m"].iter().any(|code| text.contains(&format!("{ESCAPE}{code}")))
}

/// A dump with something to warn of and something to fail.
fn troubled(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("app.sql");
    std::fs::write(&path, "CREATE EXTENSION isn;\nINSERT INTO t VALUES (1);\n").expect("written");
    path.to_str().expect("a path").to_owned()
}

fn preflight(file: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = capydb(&["import", "preflight", "--file", file, "--plan-limit", "1GB"]);
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    run(command)
}

/// The same on a terminal of its own, of so many columns.
fn on_a_terminal(file: &str, columns: u32, variables: &[(&str, &str)]) -> String {
    let program = env!("CARGO_BIN_EXE_capydb");
    let line = format!("stty cols {columns} rows 40; {program} import preflight --file {file} --plan-limit 1GB");
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).env("TERM", "xterm");
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CAPYDB_API_KEY", "CAPYDB_API_URL"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    String::from_utf8_lossy(&command.output().expect("script runs").stdout).replace('\r', "")
}

#[test]
fn colour_is_for_terminals_and_those_who_insist() {
    let folder = folder();
    let file = troubled(&folder);
    let plain = preflight(&file, &[]);
    assert!(!plain.stdout.contains(ESCAPE) && !plain.stderr.contains(ESCAPE), "{plain:#?}");
    assert!(is_coloured(&preflight(&file, &[("CLICOLOR_FORCE", "1")]).stdout));
    assert!(is_coloured(&on_a_terminal(&file, 100, &[])));
    for quiet in [("NO_COLOR", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")] {
        let shown = on_a_terminal(&file, 100, &[quiet]);
        assert!(!is_coloured(&shown), "{quiet:?}: {shown}");
    }
}

#[test]
fn a_narrow_terminal_wraps_and_a_file_does_not() {
    let folder = folder();
    let file = troubled(&folder);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let wide = preflight(&file, &[]).stdout;
    assert!(wide.lines().any(|line| line.chars().count() > 100), "{wide}");
    let narrow = on_a_terminal(&file, 70, &[("NO_COLOR", "1")]);
    let report: Vec<&str> =
        narrow.lines().filter(|line| line.contains("dump_") || line.starts_with("      ")).collect();
    let too_long = report.iter().filter(|line| line.chars().count() > 70).collect::<Vec<_>>();
    assert!(!report.is_empty() && too_long.is_empty(), "{too_long:#?}");
    assert!(words(&narrow).contains("drop each extension on the source if nothing uses it"), "{narrow}");
}

#[test]
fn a_reader_that_goes_away_has_seen_enough() {
    let folder = folder();
    let file = troubled(&folder);
    let line = format!(
        "{} import preflight --file {file} --plan-limit 1GB 2>/dev/null | head -1; echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_capydb")
    );
    let output = Command::new("bash").args(["-c", &line]).output().expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.trim_end().ends_with('5'), "{said}");
}

/// Asks the program for candidates as the script of bash does.
fn candidates(mock_http: &Peer, words: &[&str]) -> String {
    let mut command = capydb(&[&["--"], words].concat());
    command
        .env("CAPYDB_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_IFS", "\n")
        .env("CAPYDB_API_URL", mock_http.api_url())
        .env("CAPYDB_API_KEY", KEY);
    run(command).succeeds().stdout
}

#[test]
fn projects_files_and_providers_are_completed() {
    let mock_http = Peer::start(|mock_http, request, _| works(mock_http, request));
    assert!(candidates(&mock_http, &["capydb", "import", "--project", "sh"]).contains("shop"));
    assert!(candidates(&mock_http, &["capydb", "link", ""]).contains("shop"));
    assert!(candidates(&mock_http, &["capydb", "import", "guide", "sup"]).contains("supabase"));
    assert!(candidates(&mock_http, &["capydb", "import", "--via"]).contains("--via-dump"));
    let folder = folder();
    let file = troubled(&folder);
    assert!(candidates(&mock_http, &["capydb", "import", "--file", &file[..file.len() - 4]]).contains("app.sql"));
    // Without a network there are none, and no error.
    let nowhere = Peer::start(|_, _, _| crate::support::mock_http::Answer::Json(500, "{}".into()));
    assert!(!candidates(&nowhere, &["capydb", "import", "--project", "sh"]).contains("shop"));
}

#[test]
fn a_slip_of_the_finger_is_understood() {
    let mock_http = Peer::start(|mock_http, request, _| works(mock_http, request));
    assert!(against(&mock_http, &["import", "--recraete"]).fails(2, "--recreate").stderr.contains("similar"));
    assert!(against(&mock_http, &["imprt"]).fails(2, "import").stderr.contains("similar"));
    against(&mock_http, &["jobs", "list", "--project", "shpo"]).fails(4, "did you mean shop?");
}
