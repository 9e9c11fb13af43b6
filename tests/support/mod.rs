//! Shared test helpers: running the built executable, and real servers to run it against.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses only some of the helpers")]

pub mod archive;
pub mod fake_postgres;
pub mod fault_proxy;
pub mod fixtures;
pub mod mock_http;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Exit code and output of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code and a part of standard error.
    #[track_caller]
    pub fn fails(self, code: i32, message: &str) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(self.stderr.contains(message), "no “{message}” in {self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// Standard output as a single JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A `capydb` command that ignores the settings of the user who runs the tests.
pub fn capydb(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_capydb"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in
        ["CAPYDB_API_URL", "CAPYDB_API_KEY", "CAPYDB_SOURCE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "COLUMNS"]
    {
        command.env_remove(name);
    }
    let home = empty_home();
    command.env("HOME", &home).env("XDG_CONFIG_HOME", home.join("config"));
    // A developer's own control plane is not found.
    command.env("CAPYDB_DEV_DIR", home.join("dev")).current_dir(home);
    command
}

/// A home directory without settings, shared by all commands of a test binary.
fn empty_home() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty-home");
    std::fs::create_dir_all(&home).expect("create home directory");
    home
}

pub fn run(mut command: Command) -> Ran {
    Ran::of(&command.output().expect("run command"))
}

/// Polls a condition for at most one minute.
#[track_caller]
pub fn until(condition: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_mins(1), "timed out waiting until {condition}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Prints a line even if the test passes: the test harness does not capture direct writes.
pub fn report(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Reports that a suite cannot run on this machine. Under CI a skipped suite is a failure unless
/// `CAPYDB_ALLOW_SKIP` (names separated by spaces or commas) lists it.
#[track_caller]
pub fn skip(suite: &str, reason: &str) {
    report(&format!("NOT TESTED: {suite}: {reason}"));
    let allowed = std::env::var("CAPYDB_ALLOW_SKIP").unwrap_or_default();
    let is_allowed = allowed.split([' ', ',']).any(|name| name == suite);
    let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    assert!(
        !ci || is_allowed,
        "the suite {suite} was skipped under CI: {reason}; to allow it: CAPYDB_ALLOW_SKIP={suite}"
    );
}
