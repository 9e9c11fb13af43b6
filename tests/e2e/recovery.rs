//! A control plane that dies in the middle of an import.

use crate::support::until;
use crate::support::world::{Plane, Project, fingerprint, held_by, psql, source};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

fn start(plane: &Plane, project: &Project<'_>, recreate: bool, url: &str) -> String {
    let body = json!({ "confirm": true, "recreate": recreate, "source_url": url });
    let (status, answer) = plane.call("POST", &format!("/v1/projects/{}/imports", project.id), Some(&body));
    assert_eq!(status, 202, "{answer}");
    answer["job"]["id"].as_str().expect("an id").to_owned()
}

fn until_loading(plane: &Plane, job: &str) {
    let sql = format!(
        "select count(*) from pg_stat_activity where application_name like 'capydb import {job} %' and query ilike 'COPY%'"
    );
    until("data is being loaded", || plane.admin("postgres", &sql) != "0");
}

#[test]
fn a_killed_import_that_cannot_be_finished_leaves_nothing() {
    let sql = "create extension hstore; create role killed_role;
               create table doomed as select n, md5(n::text) as t from generate_series(1, 50000) n;
               alter table doomed enable row level security; create policy p on doomed to killed_role using (true);";
    let url = source().create("doomed", &[sql, &held_by("doom")].concat());
    let plane = Plane::start(&[]);
    plane.hold("doom");
    let project = plane.project("doomed");
    project.sql("create table old (x int)");
    let before = fingerprint(&project.url);
    let (id, slug) = (start(&plane, &project, false, &url), project.slug.clone());
    until_loading(&plane, &id);
    let data_dir = plane.kill();
    psql(&source().url("postgres"), "drop database doomed with (force)");
    let plane = Plane::start_again(&data_dir);
    plane.run(&["jobs", "wait", &id]).fails(1, "no such database");
    let target = plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
    assert_eq!(fingerprint(&target), before);
    assert_eq!(psql(&target, "select count(*) from pg_roles where rolname = 'killed_role'"), "0");
    plane.has_no_leftovers();
}

#[test]
fn a_killed_import_is_finished_by_the_next_start() {
    let sql = "create table heavy as select n, md5(n::text) as t from generate_series(1, 50000) n; create index on heavy (t);";
    let url = source().create("heavy", &[sql, &held_by("weight")].concat());
    for recreate in [true, false] {
        let plane = Plane::start(&[]);
        plane.hold("weight");
        let project = plane.project("killed");
        project.sql("create table old (x int)");
        let before = fingerprint(&project.url);
        let id = start(&plane, &project, recreate, &url);
        let (slug, target) = (project.slug.clone(), project.url.clone());
        until_loading(&plane, &id);
        assert_eq!(fingerprint(&target), before, "nobody sees half of it");
        let plane = Plane::start_again(&plane.kill());
        plane.let_go("weight");
        let ran = plane.run(&["jobs", "wait", &id]).succeeds();
        assert!(ran.stdout.contains("tables"), "{ran:#?}");
        let job = plane.call("GET", &format!("/v1/jobs/{id}"), None).1;
        assert_eq!(job["job"]["attempts"], 2);
        let target = plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
        assert_eq!(psql(&target, "select count(*), count(distinct t) from heavy"), "50000|50000");
        assert_eq!(psql(&target, "select to_regclass('old') is null"), if recreate { "t" } else { "f" });
        until("it is tidy", || {
            plane.admin("postgres", "select count(*) from pg_database where datname like 'capydb\\_%'") == "0"
        });
        plane.has_no_leftovers();
    }
}

#[test]
fn a_stop_hands_a_running_import_to_the_next_start() {
    let sql = "create table paused as select n, md5(n::text) as t from generate_series(1, 50000) n; create index on paused (t);";
    let url = source().create("paused", &[sql, &held_by("pause")].concat());
    let plane = Plane::start(&[]);
    plane.hold("pause");
    let project = plane.project("paused");
    let (id, slug) = (start(&plane, &project, true, &url), project.slug.clone());
    until_loading(&plane, &id);
    let data_dir = plane.data_dir.clone();
    drop(plane); // as Ctrl-C does
    let plane = Plane::start_again(&data_dir);
    plane.let_go("pause");
    plane.run(&["jobs", "wait", &id]).succeeds();
    let job = plane.call("GET", &format!("/v1/jobs/{id}"), None).1;
    assert_eq!(job["job"]["attempts"], 1, "a stop is not a failed attempt");
    let target = plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
    assert_eq!(psql(&target, "select count(*) from paused"), "50000");
    plane.has_no_leftovers();
}

#[test]
fn a_start_waits_for_the_sessions_of_a_server_that_was_killed() {
    let plane = Plane::start(&[]);
    let session = plane.admin(
        "postgres",
        "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() limit 1",
    );
    let session = process(&session);
    let server = std::fs::read_to_string(plane.data_dir.join("postgres/data/postmaster.pid")).expect("reads");
    // A session that is busy with something does not see at once that its server is gone.
    kill_process(session, Signal::STOP).expect("stopped");
    kill_process(process(server.lines().next().expect("a line")), Signal::KILL).expect("killed");
    let data_dir = plane.kill();
    let starts = std::thread::spawn({
        let data_dir = data_dir.clone();
        move || Plane::start_again(&data_dir)
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
    let plane = Plane::start(&[]);
    let project = plane.project("unlucky");
    let database = project.sql("select current_database()");
    let id = project.id.clone();
    plane.admin("postgres", &format!("drop database {database} with (force)"));
    let fail = "update projects set state = 'failed', last_error = 'the disk was full'";
    plane.admin("capydb", fail);
    let (status, answer) = plane.call("POST", "/v1/projects", Some(&json!({ "name": "unlucky" })));
    assert_eq!((status, answer["project"]["id"].as_str()), (202, Some(id.as_str())), "{answer}");
    plane.run(&["jobs", "wait", answer["job"]["id"].as_str().expect("an id")]).succeeds();
    let (_, answer) = plane.call("GET", &format!("/v1/projects/{id}"), None);
    assert_eq!((&answer["project"]["state"], &answer["project"]["last_error"]), (&json!("ready"), &json!(null)));
    assert_eq!(plane.call("POST", "/v1/projects", Some(&json!({ "name": "unlucky" }))).0, 409, "it is there");
    // So is the project of every start.
    plane.admin("capydb", fail);
    let plane = Plane::start_again(&plane.kill());
    let (_, answer) = plane.call("GET", "/v1/projects", None);
    let dev = answer["projects"].as_array().expect("a list").iter().find(|project| project["slug"] == "dev");
    assert_eq!(dev.expect("is there")["state"], "ready");
}
