//! A control plane that dies in the middle of an import.

use crate::support::fixtures::{ControlPlane, Project, fingerprint, held_by, psql, source};
use crate::support::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

fn start(control_plane: &ControlPlane, project: &Project<'_>, recreate: bool, url: &str) -> String {
    let body = json!({ "confirm": true, "recreate": recreate, "source_url": url });
    let (status, answer) = control_plane.call("POST", &format!("/v1/projects/{}/imports", project.id), Some(&body));
    assert_eq!(status, 202, "{answer}");
    answer["job"]["id"].as_str().expect("an id").to_owned()
}

fn until_loading(control_plane: &ControlPlane, job: &str) {
    let sql = format!(
        "select count(*) from pg_stat_activity where application_name like 'capydb import {job} %' and query ilike 'COPY%'"
    );
    until("data is being loaded", || control_plane.admin("postgres", &sql) != "0");
}

#[test]
fn a_killed_import_that_cannot_be_finished_leaves_nothing() {
    let sql = "create extension hstore; create role killed_role;
               create table doomed as select n, md5(n::text) as t from generate_series(1, 50000) n;
               alter table doomed enable row level security; create policy p on doomed to killed_role using (true);";
    let url = source().create("doomed", &[sql, &held_by("doom")].concat());
    let control_plane = ControlPlane::start(&[]);
    control_plane.hold("doom");
    let project = control_plane.project("doomed");
    project.sql("create table old (x int)");
    let before = fingerprint(&project.url);
    let (id, slug) = (start(&control_plane, &project, false, &url), project.slug.clone());
    until_loading(&control_plane, &id);
    let data_dir = control_plane.kill();
    psql(&source().url("postgres"), "drop database doomed with (force)");
    let control_plane = ControlPlane::start_again(&data_dir);
    control_plane.run(&["jobs", "wait", &id]).fails(1, "no such database");
    let target = control_plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
    assert_eq!(fingerprint(&target), before);
    assert_eq!(psql(&target, "select count(*) from pg_roles where rolname = 'killed_role'"), "0");
    control_plane.has_no_leftovers();
}

#[test]
fn a_killed_import_is_finished_by_the_next_start() {
    let sql = "create table heavy as select n, md5(n::text) as t from generate_series(1, 50000) n; create index on heavy (t);";
    let url = source().create("heavy", &[sql, &held_by("weight")].concat());
    for recreate in [true, false] {
        let control_plane = ControlPlane::start(&[]);
        control_plane.hold("weight");
        let project = control_plane.project("killed");
        project.sql("create table old (x int)");
        let before = fingerprint(&project.url);
        let id = start(&control_plane, &project, recreate, &url);
        let (slug, target) = (project.slug.clone(), project.url.clone());
        until_loading(&control_plane, &id);
        assert_eq!(fingerprint(&target), before, "nobody sees half of it");
        let control_plane = ControlPlane::start_again(&control_plane.kill());
        control_plane.let_go("weight");
        let ran = control_plane.run(&["jobs", "wait", &id]).succeeds();
        assert!(ran.stdout.contains("tables"), "{ran:#?}");
        let job = control_plane.call("GET", &format!("/v1/jobs/{id}"), None).1;
        assert_eq!(job["job"]["attempts"], 2);
        let target = control_plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
        assert_eq!(psql(&target, "select count(*), count(distinct t) from heavy"), "50000|50000");
        assert_eq!(psql(&target, "select to_regclass('old') is null"), if recreate { "t" } else { "f" });
        until("it is tidy", || {
            control_plane.admin("postgres", "select count(*) from pg_database where datname like 'capydb\\_%'") == "0"
        });
        control_plane.has_no_leftovers();
    }
}

#[test]
fn a_stop_hands_a_running_import_to_the_next_start() {
    let sql = "create table paused as select n, md5(n::text) as t from generate_series(1, 50000) n; create index on paused (t);";
    let url = source().create("paused", &[sql, &held_by("pause")].concat());
    let control_plane = ControlPlane::start(&[]);
    control_plane.hold("pause");
    let project = control_plane.project("paused");
    let (id, slug) = (start(&control_plane, &project, true, &url), project.slug.clone());
    until_loading(&control_plane, &id);
    let data_dir = control_plane.data_dir.clone();
    drop(control_plane); // as Ctrl-C does
    let control_plane = ControlPlane::start_again(&data_dir);
    control_plane.let_go("pause");
    control_plane.run(&["jobs", "wait", &id]).succeeds();
    let job = control_plane.call("GET", &format!("/v1/jobs/{id}"), None).1;
    assert_eq!(job["job"]["attempts"], 1, "a stop is not a failed attempt");
    let target = control_plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
    assert_eq!(psql(&target, "select count(*) from paused"), "50000");
    control_plane.has_no_leftovers();
}

#[test]
fn a_start_waits_for_the_sessions_of_a_server_that_was_killed() {
    let control_plane = ControlPlane::start(&[]);
    let session = control_plane.admin(
        "postgres",
        "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() limit 1",
    );
    let session = process(&session);
    let server = std::fs::read_to_string(control_plane.data_dir.join("postgres/data/postmaster.pid")).expect("reads");
    // A session that is busy with something does not see at once that its server is gone.
    kill_process(session, Signal::STOP).expect("stopped");
    kill_process(process(server.lines().next().expect("a line")), Signal::KILL).expect("killed");
    let data_dir = control_plane.kill();
    let starts = std::thread::spawn({
        let data_dir = data_dir.clone();
        move || ControlPlane::start_again(&data_dir)
    });
    until("the server finds that session", || {
        std::fs::read_to_string(data_dir.join("postgres/log")).is_ok_and(|log| log.contains("is still in use"))
    });
    kill_process(session, Signal::CONT).expect("goes on");
    starts.join().expect("starts").project("as before");
}

fn process(number: &str) -> Pid {
    number.trim().parse().ok().and_then(Pid::from_raw).expect("the number of a process")
}

#[test]
fn a_project_that_could_not_be_made_is_made_anew() {
    let control_plane = ControlPlane::start(&[]);
    let project = control_plane.project("unlucky");
    let database = project.sql("select current_database()");
    let id = project.id.clone();
    control_plane.admin("postgres", &format!("drop database {database} with (force)"));
    let fail = "update projects set state = 'failed', last_error = 'the disk was full'";
    control_plane.admin("capydb", fail);
    let (status, answer) = control_plane.call("POST", "/v1/projects", Some(&json!({ "name": "unlucky" })));
    assert_eq!((status, answer["project"]["id"].as_str()), (202, Some(id.as_str())), "{answer}");
    control_plane.run(&["jobs", "wait", answer["job"]["id"].as_str().expect("an id")]).succeeds();
    let (_, answer) = control_plane.call("GET", &format!("/v1/projects/{id}"), None);
    assert_eq!((&answer["project"]["state"], &answer["project"]["last_error"]), (&json!("ready"), &json!(null)));
    assert_eq!(control_plane.call("POST", "/v1/projects", Some(&json!({ "name": "unlucky" }))).0, 409, "it is there");
    // So is the project of every start.
    control_plane.admin("capydb", fail);
    let control_plane = ControlPlane::start_again(&control_plane.kill());
    let (_, answer) = control_plane.call("GET", "/v1/projects", None);
    let dev = answer["projects"].as_array().expect("a list").iter().find(|project| project["slug"] == "dev");
    assert_eq!(dev.expect("is there")["state"], "ready");
}
