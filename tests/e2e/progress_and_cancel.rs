//! Tests of running imports: progress, cancellation, and the details of errors.

use crate::support::archive::{Entry, archive};
use crate::support::fixtures::{ControlPlane, Project, control_plane, fingerprint, held_table, source, test_dir};
use crate::support::until;
use serde_json::{Value, json};

fn start_import(project: &Project<'_>, recreate: bool, url: &str) -> String {
    let body = json!({ "confirm": true, "recreate": recreate, "source_url": url });
    let (status, response) = control_plane().call("POST", &format!("/v1/projects/{}/imports", project.id), Some(&body));
    assert_eq!(status, 202, "{response}");
    response["job"]["id"].as_str().expect("an id").to_owned()
}

fn job(control_plane: &ControlPlane, id: &str) -> Value {
    control_plane.call("GET", &format!("/v1/jobs/{id}"), None).1["job"].clone()
}

/// A source whose import takes long enough to observe its progress.
fn slow_source() -> String {
    static URL: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    URL.get_or_init(|| {
        source().create(
            "watched",
            // A slow check constraint delays every row.
            "create function slow(int) returns bool language plpgsql as $$ begin perform pg_sleep(0.0015); return true; end $$;
             create table a as select n, repeat(md5(n::text), 32) as t from generate_series(1, 1500) n;
             create table b as select n, repeat(md5(n::text), 32) as t from generate_series(1, 1500) n;
             alter table a add check (slow(n)); alter table b add check (slow(n));
             create index on a (left(t, 9)); create index on b (left(t, 9)); create index on b (n)",
        )
    })
    .clone()
}

#[test]
fn a_running_import_reports_its_progress() {
    for recreate in [true, false] {
        let project = control_plane().project(&format!("watched {recreate}"));
        let id = start_import(&project, recreate, &slow_source());
        let mut progress_reports: Vec<Value> = Vec::new();
        until("the import completes", || {
            let job = job(control_plane(), &id);
            if job["state"] == "running" && !job["result"]["progress"].is_null() {
                progress_reports.push(job["result"]["progress"].clone());
            }
            job["state"] == "completed"
        });
        let reports_json = json!(progress_reports).to_string();
        let loading: Vec<&Value> = progress_reports.iter().filter(|progress| progress["phase"] == "loading").collect();
        assert!(!loading.is_empty() && loading.iter().all(|progress| progress["tables_total"] == 2), "{reports_json}");
        let done: Vec<u64> = loading.iter().filter_map(|progress| progress["bytes_done"].as_u64()).collect();
        assert!(done.is_sorted() && loading[0]["bytes_total"].as_u64() > Some(1_000_000), "{reports_json}");
        assert!(loading.iter().all(|progress| progress["indexes_total"] == 3), "{reports_json}");
    }
}

#[test]
fn the_command_line_shows_progress() {
    let project = control_plane().project("shown progress");
    let output = project.import(&["--source-url", &slow_source(), "--recreate", "--wait"]).succeeds();
    assert!(output.stderr.contains("tables ") && output.stderr.contains(" of 2"), "{output:#?}");
    let output =
        project.import(&["--source-url", &slow_source(), "--recreate", "--wait", "--progress", "json"]).succeeds();
    let events: Vec<Value> = output.stderr.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let imports: Vec<&Value> = events.iter().filter(|event| event["event"] == "import").collect();
    assert!(imports.iter().any(|event| event["progress"]["phase"] == "loading"), "{events:?}");
}

#[test]
fn a_cancelled_import_leaves_the_target_unchanged() {
    let url = source().create("cancelled", &held_table("cancel_hold"));
    for recreate in [true, false] {
        let project = control_plane().project(&format!("cancelled {recreate}"));
        project.sql("create table old (x int)");
        let before = fingerprint(&project.url);
        control_plane().hold("cancel_hold");
        let id = start_import(&project, recreate, &url);
        until("rows are loaded", || job(control_plane(), &id)["result"]["progress"]["phase"] == "loading");
        let output = control_plane().run(&["jobs", "cancel", &id]).succeeds();
        assert!(output.stdout.contains("cancelled by request. The target is unchanged."), "{output:#?}");
        assert_eq!(fingerprint(&project.url), before);
        control_plane().run(&["jobs", "cancel", &id]).fails(5, "the job has already failed");
        control_plane().run(&["jobs", "wait", &id]).fails(1, "cancelled by request");
        control_plane().let_go("cancel_hold");
        project.import(&["--source-url", &url, "--recreate", "--wait"]).succeeds();
        control_plane().run(&["jobs", "cancel", "nonsense"]).fails(4, "job not found");
        let staging = format!("select count(*) from pg_database where datname like '%{}%'", id.replace('-', ""));
        assert_eq!(control_plane().admin("postgres", &staging), "0");
    }
}

#[test]
fn a_cancelled_commit_either_completes_or_rolls_back() {
    let project = control_plane().project("committing");
    let dir = test_dir();
    // The commit itself is slow, and its session has an application name that the worker does not know.
    let script = "SET application_name = 'another application';
        CREATE TABLE t (x int);
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(6); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();
        INSERT INTO t VALUES (1);\n";
    let file = dir.join("commits.sql");
    std::fs::write(&file, script).expect("write file");
    let output = project.import(&["--file", file.to_str().expect("UTF-8 path"), "-o", "json"]).succeeds();
    let id = output.json()["job"]["id"].as_str().expect("an id").to_owned();
    let committing = "select count(*) from pg_stat_activity where query ilike 'commit%' and state = 'active'";
    until("the commit starts", || control_plane().admin("postgres", committing) != "0");
    control_plane().call("POST", &format!("/v1/jobs/{id}/cancel"), None);
    let mut final_job = Value::Null;
    until("the job ends", || {
        final_job = job(control_plane(), &id);
        final_job["state"] == "failed" || final_job["state"] == "completed"
    });
    until("the commit ends", || control_plane().admin("postgres", committing) == "0");
    let table_exists = project.sql("select to_regclass('t') is not null");
    assert_eq!(table_exists == "t", final_job["state"] == "completed", "{final_job}");
}

#[test]
fn a_cancellation_request_survives_a_kill() {
    let url = source().create("cancelled_twice", &held_table("kill_hold"));
    let control_plane = ControlPlane::start(&[]);
    control_plane.hold("kill_hold");
    let project = control_plane.project("cancelled twice");
    project.sql("create table old (x int)");
    let (before, slug) = (fingerprint(&project.url), project.slug.clone());
    let body = json!({ "confirm": true, "recreate": true, "source_url": url });
    let (_, response) = control_plane.call("POST", &format!("/v1/projects/{}/imports", project.id), Some(&body));
    let id = response["job"]["id"].as_str().expect("an id").to_owned();
    until("the import is running", || job(&control_plane, &id)["state"] == "running");
    assert_eq!(control_plane.call("POST", &format!("/v1/jobs/{id}/cancel"), None).0, 202);
    let control_plane = ControlPlane::restart(&control_plane.kill());
    control_plane.run(&["jobs", "wait", &id]).fails(1, "cancelled by request");
    let url = control_plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout;
    assert_eq!(fingerprint(url.trim()), before);
    control_plane.assert_no_leftovers();
}

#[test]
fn pending_and_endless_imports_can_be_cancelled() {
    let control_plane = ControlPlane::ephemeral();
    let (busy, waiting) = (control_plane.project("busy"), control_plane.project("waiting"));
    let dir = test_dir();
    std::fs::write(dir.join("sleeps.sql"), "CREATE TABLE a (x int);\nSELECT pg_sleep(100000);\n").expect("write file");
    let file = dir.join("sleeps.sql");
    let file = file.to_str().expect("UTF-8 path");
    let output = busy.import(&["--file", file, "-o", "json"]).succeeds();
    let endless = output.json()["job"]["id"].as_str().expect("an id").to_owned();
    until("the script is sleeping", || {
        control_plane.admin("postgres", "select count(*) from pg_stat_activity where query like '%pg_sleep(100000)%' and backend_type = 'client backend' and pid <> pg_backend_pid()") != "0"
    });
    control_plane.project("created meanwhile"); // a running import does not block a new project
    let output = waiting.import(&["--file", file, "-o", "json"]).succeeds();
    let pending = output.json()["job"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(job(&control_plane, &pending)["state"], "pending");
    control_plane.run(&["jobs", "cancel", &pending]).succeeds();
    assert_eq!(job(&control_plane, &pending)["attempts"], 0, "the job was never started");
    control_plane.run(&["jobs", "cancel", &endless]).succeeds();
    assert_eq!(busy.sql("select to_regclass('a') is null"), "t");
    control_plane.assert_no_leftovers();
}

#[test]
fn an_error_has_a_code_location_cause_and_fix() {
    let project = control_plane().project("error details");
    project.sql("create table taken (x int)");
    let url = source().create("error_details", "create table taken (x int)");
    let dir = test_dir();
    source().dump("error_details", "custom", &dir.join("custom"));
    source().dump("error_details", "plain", &dir.join("plain"));
    let job = project.import_by_api(&json!({ "confirm": true, "source_url": url }));
    assert!(job["error"].to_string().contains("1 object exists already on the target: relation public.taken"), "{job}");
    assert!(job["result"]["errors"][0]["fix"].to_string().contains("import with --recreate"), "{job}");
    for (format, job) in [
        ("custom", project.upload_and_import(&dir.join("custom"), false)),
        ("plain", project.upload_and_import(&dir.join("plain"), false)),
    ] {
        let error = &job["result"]["errors"][0];
        assert_eq!(error["sqlstate"], "42P07", "{format}: {job}");
        assert_eq!(error["class"], "data_lost", "{format}: {job}");
        assert_eq!(error["entry"], "TABLE public.taken", "{format}: {job}");
        assert_eq!(error["line"].is_u64(), format == "plain", "{format}: {job}");
        assert!(error["fix"].as_str().is_some_and(|fix| fix.contains("--recreate")), "{format}: {job}");
        assert!(
            job["last_stderr"].as_str().is_some_and(|text| text.len() < 5000 && !text.contains("LOCATION")),
            "{job}"
        );
    }
    let job = project.upload_and_import(&dir.join("custom"), false);
    let output = control_plane().run(&["jobs", "wait", job["id"].as_str().expect("an id")]);
    let output = output.fails(1, "relation \"taken\" already exists");
    for expected in
        ["impact if excluded  rows are missing", "42P07", "cause", "the target is unchanged; import with --recreate"]
    {
        assert!(output.stderr.contains(expected), "{expected}: {output:#?}");
    }
}

/// The objects that exist before a failing statement.
const SETUP: &str = "CREATE TABLE public.t (x int);\nINSERT INTO public.t VALUES (1), (1), (2);\nCREATE TABLE public.u (x int primary key);\n";

fn table(definition: &str) -> Entry<'_> {
    Entry { kind: "TABLE", tag: "t", definition, schema: "public", owner: "me", ..Entry::default() }
}

/// psql reports the SQLSTATE of an error and pg_restore does not: the code derived from pg_restore's
/// message must be the same.
#[test]
fn psql_and_pg_restore_errors_have_the_same_code() {
    let statements = [
        "CREATE TABLE public.a (x nosuchtype);",
        "CREATE VIEW public.a AS SELECT nosuchfunction(1);",
        "CREATE VIEW public.a AS SELECT * FROM nosuchtable;",
        "CREATE VIEW public.a AS SELECT x FROM public.t WHERE nosuchcolumn = 1;",
        "CREATE TABLE nosuchschema.a (x int);",
        "CREATE TABLE public.t (x int);",
        "CREATE TABLE public.a (x int) x;",
        "CREATE TYPE public.t AS ENUM ('a');",
        "CREATE POLICY p ON pg_catalog.pg_class USING (true);",
        "CREATE UNIQUE INDEX i ON public.t (x);",
        "ALTER TABLE public.t ADD CHECK (x > 5);",
        "ALTER TABLE public.t ALTER COLUMN x TYPE bool USING (x::text || 'maybe')::bool;",
        "ALTER TABLE public.t ADD COLUMN y int NOT NULL;",
        "INSERT INTO public.t VALUES ('x');",
        "ALTER TABLE public.t ADD FOREIGN KEY (x) REFERENCES public.u;",
        "ALTER TABLE public.t ADD COLUMN z varchar(1) DEFAULT 'long';",
    ];
    let project = control_plane().project("codes");
    let path = test_dir().join("codes.dump");
    for statement in statements {
        let failing_entry = format!("{statement}\n");
        std::fs::write(&path, archive(&[table(SETUP), table(&failing_entry)])).expect("write file");
        let sqlstate = |recreate| {
            let job = project.upload_and_import(&path, recreate);
            assert_eq!(job["state"], "failed", "{statement}: {job}");
            job["result"]["errors"][0]["sqlstate"].clone()
        };
        assert_eq!(sqlstate(true), sqlstate(false), "{statement}");
    }
}
