//! Sources that hiccup: read again, over fewer connections, or explained.

use crate::grade;
use crate::support::fixtures::{Source, psql, try_psql};
use crate::support::until;
use std::sync::atomic::{AtomicBool, Ordering};

/// More than 64 MB, from which on a dump uses two connections.
const LARGE: &str = "create table large (v text); alter table large alter v set storage external;
    insert into large select repeat(md5(i::text), 1000) from generate_series(1, 2400) i";

#[test]
fn a_role_with_few_connections_is_dumped_over_one() {
    let server = Source::start(15, &[]);
    let url = server.create("few", LARGE);
    for limit in [1, 2, 3] {
        psql(
            &url,
            &format!(
                "create role few{limit} login password 'source-secret' connection limit {limit}; grant select on large to few{limit}"
            ),
        );
        let graded = grade(&format!("few {limit}"), &url.replace("owner:", &format!("few{limit}:")));
        graded.imported();
        assert_eq!(graded.project.sql("select count(*) from large"), "2400", "{limit}");
    }
}

#[test]
fn a_waiting_lock_does_not_stop_a_parallel_dump() {
    let server = Source::start(15, &[]);
    let url = server.create("busy", &format!("{LARGE}; create table small (v int); insert into small values (1)"));
    let graded = grade("busy", &url);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // As a deployment does: asks for an exclusive lock again and again.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                try_psql(&url, "set lock_timeout = '2s'; alter table small alter v set not null; alter table small alter v drop not null");
                try_psql(&url, "set lock_timeout = '2s'; alter table large alter v set not null");
            }
        });
        let output = graded.import(&[]);
        stop.store(true, Ordering::Relaxed);
        output.succeeds();
    });
    assert_eq!(graded.project.sql("select count(*) from large"), "2400");
}

#[test]
fn a_lost_source_is_read_again() {
    let server = Source::start(15, &[]);
    let url = server.create("lost", LARGE);
    let graded = grade("lost", &url);
    std::thread::scope(|scope| {
        let importing = scope.spawn(|| graded.import(&[]));
        // Ends the dump's sessions once, in the middle.
        let dumping = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'capydb import%'";
        until("the dump is running", || psql(&server.url("postgres"), dumping) != "0");
        let output = importing.join().expect("an import").succeeds();
        assert!(output.stdout.contains("the source was interrupted 1 ×"), "{output:#?}");
    });
    assert_eq!(graded.project.sql("select count(*) from large"), "2400");
}

#[test]
fn who_holds_a_lock_is_told() {
    let server = Source::start(15, &[]);
    let url = server.create("locked", "create table t (id int); create table other (id int)");
    let graded = grade("locked", &url);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let sql = "set application_name = 'nightly report'; begin; lock table t in access exclusive mode; select pg_sleep(90)";
            try_psql(&url, sql);
        });
        let held =
            "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted and relation = 't'::regclass";
        until("the table is locked", || psql(&url, held) == "1");
        let output = graded.import(&[]).fails(1, "public.t");
        assert!(output.stderr.contains("is locked by nightly report"), "{output:#?}");
        assert!(output.stderr.contains("held a lock on a table for more than 60 seconds"), "{output:#?}");
        psql(
            &server.url("postgres"),
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'nightly report'",
        );
    });
}
