//! Imports live sources of the kinds that people report, on real servers: what preflight foresees, that
//! the control plane and this machine grade alike, and what arrives.
#![cfg(feature = "server")]

mod foreseen;
mod interrupted;
mod kept;
#[path = "../support/mod.rs"]
mod support;

use serde_json::Value;
use support::Ran;
use support::fixtures::{Project, control_plane};

/// Checks that only one side can make.
const ONE_SIDED: [&str; 4] =
    ["pg_dump_available", "names_free_on_target", "database_collation_kept", "source_not_empty"];

/// A source in its project, with the reports of both preflights.
struct Graded<'a> {
    url: String,
    project: Project<'a>,
    /// By the control plane.
    report: Value,
}

/// Grades a source as for `import --recreate`, on the control plane and on this machine, whose checks must
/// agree.
#[track_caller]
fn grade<'a>(name: &str, url: &str) -> Graded<'a> {
    let project = control_plane().project(name);
    let arguments = ["import", "preflight", "--recreate", "--project", name, "--source-url", url, "-o", "json"];
    let report = report(&control_plane().run(&arguments));
    let local = self::report(&control_plane().run(&[&arguments[..], &["--local"]].concat()));
    let compared = |report: &Value| -> Vec<(String, String, String)> {
        let checks = report["checks"].as_array().expect("checks").iter();
        let text = |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
        let all = checks.map(|check| (text(check, "name"), text(check, "status"), text(check, "detail")));
        all.filter(|(name, ..)| !ONE_SIDED.contains(&name.as_str())).collect()
    };
    assert_eq!(compared(&report), compared(&local), "{name}: both sides grade alike");
    Graded { url: url.to_owned(), project, report }
}

/// The report of a preflight, passed or failed.
#[track_caller]
fn report(output: &Ran) -> Value {
    let document = output.json();
    let report = [&document["preflight"], &document["error"]["preflight"]].into_iter().find(|found| found.is_object());
    report.unwrap_or_else(|| panic!("no report: {output:#?}")).clone()
}

impl Graded<'_> {
    /// Asserts status and texts of a check.
    #[track_caller]
    fn has(self, check: &str, status: &str, texts: &[&str]) -> Self {
        let checks = self.report["checks"].as_array().expect("checks");
        let found = checks.iter().find(|found| found["name"] == check).unwrap_or_else(|| panic!("no check {check}"));
        assert_eq!(found["status"], status, "{found}");
        for text in texts {
            assert!(found.to_string().contains(text), "no “{text}” in {found}");
        }
        self
    }

    /// The fix of a check.
    #[track_caller]
    fn fix(&self, check: &str) -> String {
        let mut checks = self.report["checks"].as_array().expect("checks").iter();
        let found = checks.find(|found| found["name"] == check).unwrap_or_else(|| panic!("no check {check}"));
        found["fix"].as_str().unwrap_or_else(|| panic!("no fix in {found}")).to_owned()
    }

    /// Asserts that only these checks do not pass.
    #[track_caller]
    fn only(self, names: &[&str]) -> Self {
        let checks = self.report["checks"].as_array().expect("checks").iter();
        let others = checks.filter(|check| check["status"] != "pass" && check["name"] != "replication_ready");
        let others: Vec<&str> = others.map(|check| check["name"].as_str().expect("a name")).collect();
        assert_eq!(others, names, "{}", self.report);
        self
    }

    fn import(&self, more: &[&str]) -> Ran {
        self.project.import(&[&["--source-url", &self.url, "--recreate", "--wait"], more].concat())
    }

    /// Asserts that the import is refused before a job starts, by this check.
    #[track_caller]
    fn refused(self, check: &str) {
        let refused = self.import(&[]).fails(5, check);
        assert!(!refused.stderr.contains("Import job"), "{refused:#?}");
    }

    /// Imports with success; returns what the command printed.
    #[track_caller]
    fn imported(&self) -> Ran {
        self.import(&[]).succeeds()
    }
}
