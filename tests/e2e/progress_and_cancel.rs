//! Imports while they run, when somebody changes their mind, and what their errors say.

use crate::support::archive::{Entry, archive};
use crate::support::fixtures::{ControlPlane, Project, control_plane, fingerprint, held_by, open_folder, source};
use crate::support::until;
use serde_json::{Value, json};

fn start(project: &Project<'_>, recreate: bool, url: &str) -> String {
    let body = json!({ "confirm": true, "recreate": recreate, "source_url": url });
    let (status, answer) = control_plane().call("POST", &format!("/v1/projects/{}/imports", project.id), Some(&body));
    assert_eq!(status, 202, "{answer}");
    answer["job"]["id"].as_str().expect("an id").to_owned()
}

fn job(control_plane: &ControlPlane, id: &str) -> Value {
    control_plane.call("GET", &format!("/v1/jobs/{id}"), None).1["job"].clone()
}

/// Enough rows that an import can be watched.
fn heavy() -> String {
    static URL: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    URL.get_or_init(|| {
        source().create(
            "watched",
            // A rule that takes its time, for every row.
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
fn a_running_import_tells_how_far_it_is() {
    for recreate in [true, false] {
        let project = control_plane().project(&format!("watched {recreate}"));
        let id = start(&project, recreate, &heavy());
        let mut seen: Vec<Value> = Vec::new();
        until("it is over", || {
            let job = job(control_plane(), &id);
            if job["state"] == "running" && !job["result"]["progress"].is_null() {
                seen.push(job["result"]["progress"].clone());
            }
            job["state"] == "completed"
        });
        let all = json!(seen).to_string();
        let loading: Vec<&Value> = seen.iter().filter(|progress| progress["phase"] == "loading").collect();
        assert!(!loading.is_empty() && loading.iter().all(|progress| progress["tables_total"] == 2), "{all}");
        let done: Vec<u64> = loading.iter().filter_map(|progress| progress["bytes_done"].as_u64()).collect();
        assert!(done.is_sorted() && loading[0]["bytes_total"].as_u64() > Some(1_000_000), "{all}");
        assert!(loading.iter().all(|progress| progress["indexes_total"] == 3), "{all}");
    }
}

#[test]
fn the_command_line_draws_it() {
    let project = control_plane().project("drawn");
    let lines = project.import(&["--source-url", &heavy(), "--recreate", "--wait"]).succeeds();
    assert!(lines.stderr.contains("tables ") && lines.stderr.contains(" of 2"), "{lines:#?}");
    let events = project.import(&["--source-url", &heavy(), "--recreate", "--wait", "--progress", "json"]).succeeds();
    let events: Vec<Value> = events.stderr.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let imports: Vec<&Value> = events.iter().filter(|event| event["event"] == "import").collect();
    assert!(imports.iter().any(|event| event["progress"]["phase"] == "loading"), "{events:?}");
}

#[test]
fn a_cancelled_import_leaves_everything_as_it_was() {
    let url = source().create("cancelled", &held_by("wish"));
    for recreate in [true, false] {
        let project = control_plane().project(&format!("cancelled {recreate}"));
        project.sql("create table old (x int)");
        let before = fingerprint(&project.url);
        control_plane().hold("wish");
        let id = start(&project, recreate, &url);
        until("rows are loaded", || job(control_plane(), &id)["result"]["progress"]["phase"] == "loading");
        let ran = control_plane().run(&["jobs", "cancel", &id]).succeeds();
        assert!(ran.stdout.contains("cancelled by request. The target is unchanged."), "{ran:#?}");
        assert_eq!(fingerprint(&project.url), before);
        control_plane().run(&["jobs", "cancel", &id]).fails(5, "the job has already failed");
        control_plane().run(&["jobs", "wait", &id]).fails(1, "cancelled by request");
        control_plane().let_go("wish");
        project.import(&["--source-url", &url, "--recreate", "--wait"]).succeeds();
        control_plane().run(&["jobs", "cancel", "nonsense"]).fails(4, "job not found");
        let staging = format!("select count(*) from pg_database where datname like '%{}%'", id.replace('-', ""));
        assert_eq!(control_plane().admin("postgres", &staging), "0");
    }
}

#[test]
fn a_commit_that_is_under_way_is_waited_for_or_stopped() {
    let project = control_plane().project("committing");
    let folder = open_folder();
    // The commit itself takes long, under a name that the worker does not know.
    let script = "SET application_name = 'somebody else';
        CREATE TABLE t (x int);
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(6); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();
        INSERT INTO t VALUES (1);\n";
    let file = folder.join("commits.sql");
    std::fs::write(&file, script).expect("written");
    let ran = project.import(&["--file", file.to_str().expect("a path"), "-o", "json"]).succeeds();
    let id = ran.json()["job"]["id"].as_str().expect("an id").to_owned();
    let committing = "select count(*) from pg_stat_activity where query ilike 'commit%' and state = 'active'";
    until("it commits", || control_plane().admin("postgres", committing) != "0");
    control_plane().call("POST", &format!("/v1/jobs/{id}/cancel"), None);
    let mut ended = Value::Null;
    until("it is over", || {
        ended = job(control_plane(), &id);
        ended["state"] == "failed" || ended["state"] == "completed"
    });
    until("the commit is over", || control_plane().admin("postgres", committing) == "0");
    let there = project.sql("select to_regclass('t') is not null");
    assert_eq!(there == "t", ended["state"] == "completed", "{ended}");
}

#[test]
fn a_wish_to_cancel_outlives_the_control_plane() {
    let url = source().create("cancelled_twice", &held_by("will"));
    let control_plane = ControlPlane::start(&[]);
    control_plane.hold("will");
    let project = control_plane.project("cancelled twice");
    project.sql("create table old (x int)");
    let (before, slug) = (fingerprint(&project.url), project.slug.clone());
    let body = json!({ "confirm": true, "recreate": true, "source_url": url });
    let (_, answer) = control_plane.call("POST", &format!("/v1/projects/{}/imports", project.id), Some(&body));
    let id = answer["job"]["id"].as_str().expect("an id").to_owned();
    until("it has begun", || job(&control_plane, &id)["state"] == "running");
    assert_eq!(control_plane.call("POST", &format!("/v1/jobs/{id}/cancel"), None).0, 202);
    let control_plane = ControlPlane::start_again(&control_plane.kill());
    control_plane.run(&["jobs", "wait", &id]).fails(1, "cancelled by request");
    let url = control_plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout;
    assert_eq!(fingerprint(url.trim()), before);
    control_plane.has_no_leftovers();
}

#[test]
fn what_waits_or_never_ends_can_be_cancelled() {
    let control_plane = ControlPlane::throw_away();
    let (busy, waits) = (control_plane.project("busy"), control_plane.project("waits"));
    let folder = open_folder();
    std::fs::write(folder.join("sleeps.sql"), "CREATE TABLE a (x int);\nSELECT pg_sleep(100000);\n").expect("written");
    let file = folder.join("sleeps.sql");
    let file = file.to_str().expect("a path");
    let ran = busy.import(&["--file", file, "-o", "json"]).succeeds();
    let sleeps = ran.json()["job"]["id"].as_str().expect("an id").to_owned();
    until("it sleeps", || {
        control_plane.admin("postgres", "select count(*) from pg_stat_activity where query like '%pg_sleep(100000)%' and backend_type = 'client backend' and pid <> pg_backend_pid()") != "0"
    });
    control_plane.project("made meanwhile"); // nobody waits for that
    let ran = waits.import(&["--file", file, "-o", "json"]).succeeds();
    let pending = ran.json()["job"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(job(&control_plane, &pending)["state"], "pending");
    control_plane.run(&["jobs", "cancel", &pending]).succeeds();
    assert_eq!(job(&control_plane, &pending)["attempts"], 0, "nobody has begun it");
    control_plane.run(&["jobs", "cancel", &sleeps]).succeeds();
    assert_eq!(busy.sql("select to_regclass('a') is null"), "t");
    control_plane.has_no_leftovers();
}

#[test]
fn an_error_is_told_with_code_place_cause_and_fix() {
    let project = control_plane().project("told errors");
    project.sql("create table taken (x int)");
    let url = source().create("told_errors", "create table taken (x int)");
    let folder = open_folder();
    source().dump("told_errors", "custom", &folder.join("custom"));
    source().dump("told_errors", "plain", &folder.join("plain"));
    for (what, job) in [
        ("url", project.import_by_api(&json!({ "confirm": true, "source_url": url }))),
        ("custom", project.import_unseen(&folder.join("custom"), false)),
        ("plain", project.import_unseen(&folder.join("plain"), false)),
    ] {
        let error = &job["result"]["errors"][0];
        assert_eq!(error["sqlstate"], "42P07", "{what}: {job}");
        assert_eq!(error["class"], "data_lost", "{what}: {job}");
        assert_eq!(error["entry"], "TABLE public.taken", "{what}: {job}");
        assert_eq!(error["line"].is_u64(), what == "plain", "{what}: {job}");
        assert!(error["fix"].as_str().is_some_and(|fix| fix.contains("--recreate")), "{what}: {job}");
        assert!(
            job["last_stderr"].as_str().is_some_and(|text| text.len() < 5000 && !text.contains("LOCATION")),
            "{job}"
        );
    }
    let ran = project.import(&["--source-url", &url, "--wait"]).fails(1, "relation \"taken\" already exists");
    for words in
        ["impact if skipped  rows are missing", "42P07", "cause", "the target is unchanged; import with --recreate"]
    {
        assert!(ran.stderr.contains(words), "{words}: {ran:#?}");
    }
}

/// What the statements with errors find.
const FIRST: &str = "CREATE TABLE public.t (x int);\nINSERT INTO public.t VALUES (1), (1), (2);\nCREATE TABLE public.u (x int primary key);\n";

fn table(definition: &str) -> Entry<'_> {
    Entry { kind: "TABLE", tag: "t", definition, schema: "public", owner: "me", ..Entry::default() }
}

/// The server tells psql the code of an error, and pg_restore keeps it to itself: what is made
/// of pg_restore's words must be the same.
#[test]
fn the_code_is_the_same_whoever_tells_it() {
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
    let path = open_folder().join("codes.dump");
    for statement in statements {
        let second = format!("{statement}\n");
        std::fs::write(&path, archive(&[table(FIRST), table(&second)])).expect("written");
        let code = |recreate| {
            let job = project.import_unseen(&path, recreate);
            assert_eq!(job["state"], "failed", "{statement}: {job}");
            job["result"]["errors"][0]["sqlstate"].clone()
        };
        assert_eq!(code(true), code(false), "{statement}");
    }
}
