//! Tests of recovery after the control plane or its server was killed or stopped.

use crate::support::fixtures::{ControlPlane, Project, fingerprint, held_table, psql, source};
use crate::support::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

fn start_import(control_plane: &ControlPlane, project: &Project<'_>, recreate: bool, url: &str) -> String {
    let body = json!({ "confirm": true, "recreate": recreate, "source_url": url });
    let (status, response) = control_plane.call("POST", &format!("/v1/projects/{}/imports", project.id), Some(&body));
    assert_eq!(status, 202, "{response}");
    response["job"]["id"].as_str().expect("an id").to_owned()
}

fn wait_until_loading(control_plane: &ControlPlane, job: &str) {
    let sql = format!(
        "select count(*) from pg_stat_activity where application_name like 'capydb import {job} %' and query ilike 'COPY%'"
    );
    until("data is being loaded", || control_plane.admin("postgres", &sql) != "0");
}

#[test]
fn a_killed_import_whose_source_is_gone_leaves_the_target_unchanged() {
    let sql = "create extension hstore; create role killed_role;
               create table doomed as select n, md5(n::text) as t from generate_series(1, 50000) n;
               alter table doomed enable row level security; create policy p on doomed to killed_role using (true);";
    let url = source().create("doomed", &[sql, &held_table("doom")].concat());
    let control_plane = ControlPlane::start(&[]);
    control_plane.hold("doom");
    let project = control_plane.project("doomed");
    project.sql("create table old (x int)");
    let before = fingerprint(&project.url);
    let (id, slug) = (start_import(&control_plane, &project, false, &url), project.slug.clone());
    wait_until_loading(&control_plane, &id);
    let data_dir = control_plane.kill();
    psql(&source().url("postgres"), "drop database doomed with (force)");
    let control_plane = ControlPlane::restart(&data_dir);
    control_plane.run(&["jobs", "wait", &id]).fails(1, "no such database");
    let target = control_plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
    assert_eq!(fingerprint(&target), before);
    assert_eq!(psql(&target, "select count(*) from pg_roles where rolname = 'killed_role'"), "0");
    control_plane.assert_no_leftovers();
}

#[test]
fn a_killed_import_completes_after_a_restart() {
    let sql = "create table heavy as select n, md5(n::text) as t from generate_series(1, 50000) n; create index on heavy (t);";
    let url = source().create("heavy", &[sql, &held_table("weight")].concat());
    for recreate in [true, false] {
        let control_plane = ControlPlane::start(&[]);
        control_plane.hold("weight");
        let project = control_plane.project("killed");
        project.sql("create table old (x int)");
        let before = fingerprint(&project.url);
        let id = start_import(&control_plane, &project, recreate, &url);
        let (slug, target) = (project.slug.clone(), project.url.clone());
        wait_until_loading(&control_plane, &id);
        assert_eq!(fingerprint(&target), before, "a partial import is not visible");
        let control_plane = ControlPlane::restart(&control_plane.kill());
        control_plane.let_go("weight");
        let output = control_plane.run(&["jobs", "wait", &id]).succeeds();
        assert!(output.stdout.contains("tables"), "{output:#?}");
        let job = control_plane.call("GET", &format!("/v1/jobs/{id}"), None).1;
        assert_eq!(job["job"]["attempts"], 2);
        let target = control_plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
        assert_eq!(psql(&target, "select count(*), count(distinct t) from heavy"), "50000|50000");
        assert_eq!(psql(&target, "select to_regclass('old') is null"), if recreate { "t" } else { "f" });
        until("the temporary databases are removed", || {
            control_plane.admin("postgres", "select count(*) from pg_database where datname like 'capydb\\_%'") == "0"
        });
        control_plane.assert_no_leftovers();
    }
}

#[test]
fn a_stopped_import_completes_after_a_restart() {
    let sql = "create table paused as select n, md5(n::text) as t from generate_series(1, 50000) n; create index on paused (t);";
    let url = source().create("paused", &[sql, &held_table("pause")].concat());
    let control_plane = ControlPlane::start(&[]);
    control_plane.hold("pause");
    let project = control_plane.project("paused");
    let (id, slug) = (start_import(&control_plane, &project, true, &url), project.slug.clone());
    wait_until_loading(&control_plane, &id);
    let data_dir = control_plane.data_dir.clone();
    drop(control_plane); // a graceful stop, like Ctrl-C
    let control_plane = ControlPlane::restart(&data_dir);
    control_plane.let_go("pause");
    control_plane.run(&["jobs", "wait", &id]).succeeds();
    let job = control_plane.call("GET", &format!("/v1/jobs/{id}"), None).1;
    assert_eq!(job["job"]["attempts"], 1, "a stop is not a failed attempt");
    let target = control_plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
    assert_eq!(psql(&target, "select count(*) from paused"), "50000");
    control_plane.assert_no_leftovers();
}

#[test]
fn a_start_waits_for_the_sessions_of_a_killed_server() {
    let control_plane = ControlPlane::start(&[]);
    let session = control_plane.admin(
        "postgres",
        "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() limit 1",
    );
    let session = parse_pid(&session);
    let pid_file =
        std::fs::read_to_string(control_plane.data_dir.join("postgres/data/postmaster.pid")).expect("read file");
    // A busy session does not notice immediately that its server is gone.
    kill_process(session, Signal::STOP).expect("send SIGSTOP");
    kill_process(parse_pid(pid_file.lines().next().expect("a line")), Signal::KILL).expect("send SIGKILL");
    let data_dir = control_plane.kill();
    let restart = std::thread::spawn({
        let data_dir = data_dir.clone();
        move || ControlPlane::restart(&data_dir)
    });
    until("the server reports the old session", || {
        std::fs::read_to_string(data_dir.join("postgres/log")).is_ok_and(|log| log.contains("is still in use"))
    });
    kill_process(session, Signal::CONT).expect("send SIGCONT");
    restart.join().expect("control plane restarts").project("after restart");
}

fn parse_pid(number: &str) -> Pid {
    number.trim().parse().ok().and_then(Pid::from_raw).expect("a process id")
}

#[test]
fn a_failed_project_can_be_created_again() {
    let control_plane = ControlPlane::start(&[]);
    let project = control_plane.project("unlucky");
    let database = project.sql("select current_database()");
    let id = project.id.clone();
    control_plane.admin("postgres", &format!("drop database {database} with (force)"));
    let mark_failed = "update projects set state = 'failed', last_error = 'the disk was full'";
    control_plane.admin("capydb", mark_failed);
    let (status, response) = control_plane.call("POST", "/v1/projects", Some(&json!({ "name": "unlucky" })));
    assert_eq!((status, response["project"]["id"].as_str()), (202, Some(id.as_str())), "{response}");
    control_plane.run(&["jobs", "wait", response["job"]["id"].as_str().expect("an id")]).succeeds();
    let (_, response) = control_plane.call("GET", &format!("/v1/projects/{id}"), None);
    assert_eq!((&response["project"]["state"], &response["project"]["last_error"]), (&json!("ready"), &json!(null)));
    assert_eq!(
        control_plane.call("POST", "/v1/projects", Some(&json!({ "name": "unlucky" }))).0,
        409,
        "the project exists"
    );
    // A restart also creates the default project again.
    control_plane.admin("capydb", mark_failed);
    let control_plane = ControlPlane::restart(&control_plane.kill());
    let (_, response) = control_plane.call("GET", "/v1/projects", None);
    let dev = response["projects"].as_array().expect("a list").iter().find(|project| project["slug"] == "dev");
    assert_eq!(dev.expect("the project dev")["state"], "ready");
}
