//! Imports dumps as people really have them, and checks each against the table of what should happen.
//! `make wild` prints the summary.
#![cfg(feature = "server")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use support::fixtures::{ControlPlane, Source, fingerprint, postgres, psql};
use support::{Ran, run};

/// What an import of a case does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Everything arrives, without a warning.
    Imports,
    /// Everything arrives; preflight warns.
    Warns,
    /// Refused before anything is sent.
    Refused,
    /// Preflight passes, the load fails.
    FailsLate,
    /// The load fails, and preflight has warned that it may.
    FailsWarned,
    /// The import completes, but something is missing or different.
    Part,
}

impl Outcome {
    fn parse(word: &str) -> Self {
        match word {
            "imports" => Self::Imports,
            "warns" => Self::Warns,
            "refused" => Self::Refused,
            "fails late" => Self::FailsLate,
            "fails warned" => Self::FailsWarned,
            "part" => Self::Part,
            other => panic!("unknown outcome {other}"),
        }
    }
}

struct Case {
    file: PathBuf,
    name: String,
    wanted: Vec<Outcome>,
    note: String,
}

fn cases() -> Vec<Case> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wild/cases");
    let filter = std::env::var("CAPYDB_WILD").unwrap_or_default();
    let lines = include_str!("cases.tsv").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let wanted = fields[1].split('/').map(Outcome::parse).collect();
            Case { file: dir.join(fields[0]), name: fields[0].into(), wanted, note: fields[2].into() }
        })
        .filter(|case| case.name.contains(&filter))
        .collect()
}

/// The results of one case.
struct Tried {
    offline: Ran,
    recreate: Ran,
    in_place: Ran,
    outcome: Outcome,
    /// What is wrong with the import in place.
    in_place_problem: Option<String>,
    /// What differs from the dump.
    difference: String,
}

#[test]
fn wild_dumps_are_imported_or_refused() {
    let reference = Source::start(17, &["fsync=off"]);
    let cases = cases();
    let queue = Mutex::new(cases.iter());
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // One each, because an API key has a rate limit.
                let control_plane = ControlPlane::ephemeral();
                while let Some(case) = { queue.lock().expect("not poisoned").next() } {
                    let tried = try_case(&control_plane, &reference, case);
                    results.lock().expect("not poisoned").insert(case.name.clone(), tried);
                }
            });
        }
    });
    let results = results.into_inner().expect("not poisoned");
    let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let tried = &results[&case.name];
        *counts.entry(tried.outcome).or_default() += 1;
        if cases.len() < 20 {
            support::report(&format!("{}: {:?}", case.name, tried.outcome));
        }
        let expected = case.wanted.contains(&tried.outcome)
            || (case.wanted.contains(&Outcome::Imports) && tried.outcome == Outcome::Warns);
        // A refusal must not need the server.
        let foreseen = tried.outcome != Outcome::Refused || tried.offline.code == 5;
        if !expected || !foreseen || tried.in_place_problem.is_some() {
            wrong.push(describe(case, tried));
        }
    }
    support::report(&format!("wild dumps: {counts:?}"));
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn describe(case: &Case, tried: &Tried) -> String {
    let Tried { offline, recreate, in_place, outcome, in_place_problem, difference } = tried;
    let last = |ran: &Ran| ran.stderr.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(" | ");
    let cut = |text: String| text.chars().rev().take(500).collect::<Vec<_>>().into_iter().rev().collect::<String>();
    format!(
        "{}: wanted {:?}, got {outcome:?} ({})\n    offline {}: {}\n    recreate {}: {}\n    in place {}: {}\n    {}{}",
        case.name,
        case.wanted,
        case.note,
        offline.code,
        cut(last(offline)),
        recreate.code,
        cut(last(recreate)),
        in_place.code,
        cut(last(in_place)),
        in_place_problem.as_deref().unwrap_or_default(),
        cut(difference.clone()),
    )
}

fn try_case(control_plane: &ControlPlane, reference: &Source, case: &Case) -> Tried {
    let file = case.file.to_str().expect("UTF-8 path");
    let offline = run(support::capydb(&[
        "import",
        "preflight",
        "--recreate",
        "--file",
        file,
        "--target-version",
        "17",
        "--plan-limit",
        "10GB",
        "-o",
        "json",
    ]));
    let project = control_plane.project(case.name.replace('.', " ").trim());
    project.sql("create table kept as select 1 as x");
    let before = fingerprint(&project.url);
    let in_place = project.import(&["--file", file, "--wait"]);
    let kept = project.sql("select count(*) from pg_class where relname = 'kept'") == "1";
    let in_place_problem = if in_place.code != 0 && fingerprint(&project.url) != before {
        Some("a failed import in place changed the target".to_owned())
    } else if !kept {
        Some("an import in place dropped another table".to_owned())
    } else {
        None
    };
    let before = fingerprint(&project.url);
    let recreate = project.import(&["--file", file, "--recreate", "--wait"]);
    let mut difference = String::new();
    let outcome = match recreate.code {
        0 => {
            difference = differences(reference, case, &control_plane.admin_url(&project));
            if !difference.is_empty() {
                Outcome::Part
            } else if recreate.stderr.contains("  warn  ") {
                Outcome::Warns
            } else {
                Outcome::Imports
            }
        }
        5 => Outcome::Refused,
        _ if recreate.stderr.contains("checks_without_functions  ") => Outcome::FailsWarned,
        _ => Outcome::FailsLate,
    };
    if recreate.code != 0 && fingerprint(&project.url) != before {
        difference = "a failed import changed the target".into();
        return Tried { offline, recreate, in_place, outcome: Outcome::Part, in_place_problem, difference };
    }
    Tried { offline, recreate, in_place, outcome, in_place_problem, difference }
}

/// Objects and rows that psql or `pg_restore` loads as a superuser and the import did not.
fn differences(reference: &Source, case: &Case, url: &str) -> String {
    let name: String =
        case.name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let database = reference.create(&format!("wild_{name}"), "select 1").replace("wild_wild_", "wild_");
    load(case, &database);
    let lines = |url: &str| -> Vec<String> {
        // Query every table's content: counts alone would miss changed values.
        let text = format!("{}\n{}", fingerprint(url), psql(url, include_str!("contents.sql")));
        let of_application = |line: &&str| {
            let skipped = ["extension ", "schema ", "large objects", "publication ", "policy "];
            !line.is_empty() && !skipped.iter().any(|start| line.starts_with(start))
        };
        text.lines().filter(of_application).map(str::to_owned).collect()
    };
    let (expected, found) = (lines(&database), lines(url));
    let missing: Vec<&str> = expected.iter().filter(|line| !found.contains(line)).map(String::as_str).collect();
    if missing.is_empty() { String::new() } else { format!("missing: {}", missing.join("; ")) }
}

/// Loads a dump with the tools of Postgres, ignoring errors: roles of the source do not exist.
fn load(case: &Case, url: &str) {
    let file = case.file.display();
    let (bin, name) = (postgres(17), case.name.as_str());
    let script = if Path::new(name).extension().is_some_and(|end| end == "dump") {
        // The second try finds the objects that functions name without their schema.
        let restore = format!("{}/pg_restore --no-owner --no-privileges", bin.display());
        let named =
            format!(r#"-f - '{file}' | sed "s/set_config('search_path', ''/set_config('search_path', 'public'/""#);
        let psql = format!("{}/psql -Xq1 -v ON_ERROR_STOP=1 '{url}'", bin.display());
        format!("{restore} -1 -d '{url}' '{file}' || {restore} {named} | {psql} || {restore} -d '{url}' '{file}'")
    } else {
        let unpack = if Path::new(name).extension().is_some_and(|end| end == "gz") { "gzip -dc" } else { "cat" };
        // All of it belongs into this database.
        // Values of identity columns need a clause that some programs do not write.
        let one_database = r"sed -E '/^(CREATE|ALTER) DATABASE /d; /^\\connect /d; s/ values (\()/ overriding system value values \1/'";
        let script = format!("{unpack} '{file}' 2>/dev/null | {one_database}");
        let psql = format!("{}/psql -Xq", bin.display());
        // The script's own transactions matter, so it must not run in one.
        if case.note.contains("autocommit") {
            format!("{script} | {psql} '{url}'")
        } else {
            let stop = "-1 -v ON_ERROR_STOP=1";
            let named = r#"sed "s/set_config('search_path', ''/set_config('search_path', 'public'/""#;
            format!(
                "{script} | {psql} {stop} '{url}' || {script} | {named} | {psql} {stop} '{url}' || {script} | {psql} '{url}'"
            )
        }
    };
    let _ = Command::new("sh").arg("-c").arg(script).output().expect("run sh");
}
