//! Output on terminals and pipes, shell completion, and suggestions for typos.

use crate::support::mock_http::MockServer;
use crate::support::{Ran, capydb, run};
use crate::{KEY, run_against, success_response, temp_dir};
use std::process::{Command, Stdio};

/// The start of every escape sequence for colors.
const ESCAPE: &str = "\u{1b}[";

fn has_color(text: &str) -> bool {
    ["1m", "31m", "32m", "33m"].iter().any(|code| text.contains(&format!("{ESCAPE}{code}")))
}

/// Writes a dump with one warning and one failed check.
fn write_dump_with_findings(dir: &tempfile::TempDir) -> String {
    let path = dir.path().join("app.sql");
    std::fs::write(&path, "CREATE EXTENSION isn;\nINSERT INTO t VALUES (1);\n").expect("write the dump");
    path.to_str().expect("UTF-8 path").to_owned()
}

fn preflight(file: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = capydb(&["import", "preflight", "--file", file, "--plan-limit", "1GB"]);
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    run(command)
}

/// The same command on a pseudoterminal with this many columns.
fn preflight_on_terminal(file: &str, columns: u32, variables: &[(&str, &str)]) -> String {
    let program = env!("CARGO_BIN_EXE_capydb");
    let line = format!("stty cols {columns} rows 40; {program} import preflight --file {file} --plan-limit 1GB");
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).env("TERM", "xterm");
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CAPYDB_API_KEY", "CAPYDB_API_URL"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    String::from_utf8_lossy(&command.output().expect("run script").stdout).replace('\r', "")
}

#[test]
fn color_is_used_on_terminals_and_with_clicolor_force() {
    let dir = temp_dir();
    let file = write_dump_with_findings(&dir);
    let plain = preflight(&file, &[]);
    assert!(!plain.stdout.contains(ESCAPE) && !plain.stderr.contains(ESCAPE), "{plain:#?}");
    assert!(has_color(&preflight(&file, &[("CLICOLOR_FORCE", "1")]).stdout));
    assert!(has_color(&preflight_on_terminal(&file, 100, &[])));
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")] {
        let output = preflight_on_terminal(&file, 100, &[variable]);
        assert!(!has_color(&output), "{variable:?}: {output}");
    }
}

#[test]
fn output_wraps_on_a_narrow_terminal_but_not_in_a_pipe() {
    let dir = temp_dir();
    let file = write_dump_with_findings(&dir);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let wide = preflight(&file, &[]).stdout;
    assert!(wide.lines().any(|line| line.chars().count() > 100), "{wide}");
    let narrow = preflight_on_terminal(&file, 70, &[("NO_COLOR", "1")]);
    let report: Vec<&str> =
        narrow.lines().filter(|line| line.contains("dump_") || line.starts_with("      ")).collect();
    let too_long = report.iter().filter(|line| line.chars().count() > 70).collect::<Vec<_>>();
    assert!(!report.is_empty() && too_long.is_empty(), "{too_long:#?}");
    assert!(words(&narrow).contains("drop each extension on the source if nothing uses it"), "{narrow}");
}

#[test]
fn a_closed_pipe_does_not_change_the_exit_code() {
    let dir = temp_dir();
    let file = write_dump_with_findings(&dir);
    let line = format!(
        "{} import preflight --file {file} --plan-limit 1GB 2>/dev/null | head -1; echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_capydb")
    );
    let output = Command::new("bash").args(["-c", &line]).output().expect("run bash");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.trim_end().ends_with('5'), "{stdout}");
}

/// Completes a command line the way the bash script does.
fn complete(mock_http: &MockServer, words: &[&str]) -> String {
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
    let mock_http = MockServer::start(|mock_http, request, _| success_response(mock_http, request));
    assert!(complete(&mock_http, &["capydb", "import", "--project", "sh"]).contains("shop"));
    assert!(complete(&mock_http, &["capydb", "link", ""]).contains("shop"));
    assert!(complete(&mock_http, &["capydb", "import", "guide", "sup"]).contains("supabase"));
    assert!(complete(&mock_http, &["capydb", "import", "--via"]).contains("--via-dump"));
    let dir = temp_dir();
    let file = write_dump_with_findings(&dir);
    assert!(complete(&mock_http, &["capydb", "import", "--file", &file[..file.len() - 4]]).contains("app.sql"));
    // When the control plane fails, completion has no candidates and no error.
    let failing = MockServer::start(|_, _, _| crate::support::mock_http::Response::Json(500, "{}".into()));
    assert!(!complete(&failing, &["capydb", "import", "--project", "sh"]).contains("shop"));
}

#[test]
fn typos_get_suggestions() {
    let mock_http = MockServer::start(|mock_http, request, _| success_response(mock_http, request));
    assert!(run_against(&mock_http, &["import", "--recraete"]).fails(2, "--recreate").stderr.contains("similar"));
    assert!(run_against(&mock_http, &["imprt"]).fails(2, "import").stderr.contains("similar"));
    run_against(&mock_http, &["jobs", "list", "--project", "shpo"]).fails(4, "did you mean shop?");
}
