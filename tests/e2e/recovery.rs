//! A control plane that dies in the middle of an import.

use crate::support::until;
use crate::support::world::{Plane, Project, fingerprint, held_by, psql, source};
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
