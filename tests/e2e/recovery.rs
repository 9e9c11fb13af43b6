//! A control plane that dies in the middle of an import.

use crate::support::until;
use crate::support::world::{Plane, fingerprint, psql, source};
use serde_json::json;

#[test]
fn a_killed_import_is_finished_by_the_next_start() {
    let url = source().create("heavy", "create table heavy as select n, md5(n::text) as t from generate_series(1, 400000) n; create index on heavy (t)");
    for recreate in [true, false] {
        let plane = Plane::start(&[]);
        let project = plane.project("killed");
        project.sql("create table old (x int)");
        let before = fingerprint(&project.url);
        let body = json!({ "confirm": true, "recreate": recreate, "source_url": url });
        let (status, answer) = plane.call("POST", &format!("/v1/projects/{}/imports", project.id), Some(&body));
        assert_eq!(status, 202);
        let id = answer["job"]["id"].as_str().expect("an id").to_owned();
        let (slug, target) = (project.slug.clone(), project.url.clone());
        until("data is being loaded", || {
            plane.admin("postgres", &format!("select count(*) from pg_stat_activity where application_name = 'capydb import {id}' and query ilike 'COPY%'")) != "0"
        });
        assert_eq!(fingerprint(&target), before, "nobody sees half of it");
        let plane = Plane::start_again(&plane.kill());
        let ran = plane.run(&["jobs", "wait", &id]).succeeds();
        assert!(ran.stdout.contains("tables"), "{ran:#?}");
        let job = plane.call("GET", &format!("/v1/jobs/{id}"), None).1;
        assert_eq!(job["job"]["attempts"], 2);
        let target = plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
        assert_eq!(psql(&target, "select count(*), count(distinct t) from heavy"), "400000|400000");
        assert_eq!(psql(&target, "select to_regclass('old') is null"), if recreate { "t" } else { "f" });
        until("it is tidy", || {
            plane.admin("postgres", "select count(*) from pg_database where datname like 'capydb\\_%'") == "0"
        });
        plane.has_no_leftovers();
    }
}
