//! What the tests share: running the built program, and real servers to run it against.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test program uses its own part")]

pub mod archive;
pub mod fake_postgres;
pub mod fault_proxy;
pub mod fixtures;
pub mod mock_http;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a command did.
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

    /// Exit code, and a part of what was said on standard error.
    #[track_caller]
    pub fn fails(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(self.stderr.contains(words), "no «{words}» in {self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// The program, away from the settings of the person who runs the tests.
pub fn capydb(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_capydb"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in
        ["CAPYDB_API_URL", "CAPYDB_API_KEY", "CAPYDB_SOURCE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "COLUMNS"]
    {
        command.env_remove(name);
    }
    let home = empty_home();
    command.env("HOME", &home).env("XDG_CONFIG_HOME", home.join("config")).current_dir(home);
    command
}

/// A folder without any settings, the same for all commands of a test program.
fn empty_home() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty-home");
    std::fs::create_dir_all(&home).expect("a home");
    home
}

pub fn run(mut command: Command) -> Ran {
    Ran::of(&command.output().expect("the program runs"))
}

/// Waits until something holds, at most a minute.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_mins(1), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Reports that this machine cannot run a suite. Under CI that is a failure, unless
/// `CAPYDB_ALLOW_SKIP` (names separated by spaces or commas) allows it.
#[track_caller]
pub fn skip(suite: &str, why: &str) {
    use std::io::Write;
    // Not captured by the test harness, so that it is seen when everything passes.
    let _ = writeln!(std::io::stderr(), "NOT TESTED: {suite}: {why}");
    let allowed = std::env::var("CAPYDB_ALLOW_SKIP").unwrap_or_default();
    let is_allowed = allowed.split([' ', ',']).any(|name| name == suite);
    let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    assert!(!ci || is_allowed, "the suite {suite} was skipped under CI: {why}; to allow it: CAPYDB_ALLOW_SKIP={suite}");
}
