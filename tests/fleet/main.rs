//! One control plane in several processes: nothing is lost and nothing is done twice, whoever
//! dies.
//!
//! `CAPYDB_FLEET` sets how many imports are queued.
#![cfg(feature = "server")]
#![expect(clippy::print_stderr, reason = "the figures are the result")]

#[path = "../support/cluster.rs"]
mod cluster;
#[path = "../support/object_store.rs"]
mod object_store;
#[path = "../support/mod.rs"]
mod support;

use cluster::{Apis, Ground, Process};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::{Duration, Instant};
use support::fixtures::{Source, held_by, open_folder, psql, put, try_psql};
use support::{Ran, run, until};

/// Enough that a worker can be killed in the middle of it.
const DATA: &str = "create table big as select n, md5(n::text) as t from generate_series(1, 300000) n;
    alter table big add primary key (n);
    create index on big (t);
    create role fleet_role;
    alter table big enable row level security;
    create policy p on big to fleet_role using (true)";

/// What every target must hold in the end.
const CHECK: &str = "select count(*) || ' ' || count(distinct n) || ' ' || sum(hashtext(t)) from big";

const WORKERS: usize = 3;

/// Queues imports of all kinds in turn: from a source or a dump, replacing or joining.
fn queue(apis: &Apis, source: &Source, projects: &[(String, String)]) -> Vec<String> {
    let folder = open_folder();
    let dumps = ["custom", "plain"].map(|format| {
        let file = folder.join(format);
        source.dump("fleet", format, &file);
        std::fs::read(file).expect("reads")
    });
    let start = |(number, (project, _)): (usize, &(String, String))| {
        let path = format!("/v1/projects/{project}/imports");
        let mut body = json!({ "confirm": true, "recreate": number % 2 == 0 });
        if number % 4 < 2 {
            body["source_url"] = json!(source.url("fleet"));
        } else {
            let (_, slot) = apis.call("POST", &format!("{path}/uploads"), None);
            let url = slot["upload"]["upload_url"].as_str().expect("a URL");
            assert_eq!(put(url, dumps[number % 2].clone()).0, 200, "the signed URL is taken by the store");
            body["upload_key"] = slot["upload"]["object_key"].clone();
        }
        let (status, answer) = apis.call("POST", &path, Some(&body));
        assert_eq!(status, 202, "{answer}");
        answer["job"]["id"].as_str().expect("an id").to_owned()
    };
    projects.iter().enumerate().map(start).collect()
}

#[test]
fn imports_survive_the_death_of_their_workers() {
    let count: usize = std::env::var("CAPYDB_FLEET").map_or(6, |text| text.parse().expect("a number"));
    let (ground, source) = (Ground::lay(&[]), Source::start(15, &[]));
    source.create("fleet", DATA);
    let apis = Apis::new((0..3).map(|_| ground.start("api", &[])).collect(), ground.new_key());
    let worker = || ground.start("worker", &["--concurrency", "2"]);
    let mut workers: Vec<Process> = (0..WORKERS).map(|_| worker()).collect();
    // Everything is announced, exactly once; nobody answers there.
    let (_, me) = apis.call("GET", "/v1/me", None);
    let endpoints =
        format!("/v1/organizations/{}/webhook-endpoints", me["organization"]["id"].as_str().expect("an id"));
    assert_eq!(apis.call("POST", &endpoints, Some(&json!({ "url": "https://hooks.invalid/" }))).0, 201);
    let projects = apis.projects(count);
    let (begun, jobs) = (Instant::now(), queue(&apis, &source, &projects));
    let open = || ground.ask("select count(*) from jobs where state in ('pending', 'running')") != "0";
    let mut kills = 0;
    // A job is begun five times at most: whoever has one that died often is spared.
    while open() && kills < count / 3 {
        std::thread::sleep(Duration::from_millis(u64::from(random_byte()) * 4)); // any moment is right
        let busy = ground.ask(
            "select claimed_by from jobs j where state = 'running' and lease_until > now() and not exists (
                 select from jobs k where k.state = 'running' and k.attempts > 3
                 and split_part(k.claimed_by, '-', -2) = split_part(j.claimed_by, '-', -2))
             order by random() limit 1",
        );
        let victim = workers.iter().position(|worker| busy.contains(&format!("-{}-", worker.pid())));
        if let Some(victim) = victim {
            workers.swap_remove(victim).kill();
            workers.push(worker());
            kills += 1;
        }
    }
    let waiting = Instant::now();
    while open() {
        assert!(waiting.elapsed() < Duration::from_mins(10), "imports do not end");
        std::thread::sleep(Duration::from_millis(200));
    }
    let took = begun.elapsed();
    let expected = psql(&source.url("fleet"), CHECK);
    let mut attempts: BTreeMap<i64, usize> = BTreeMap::new();
    let mut workers_seen = BTreeSet::new();
    for (job, (project, url)) in jobs.iter().zip(&projects) {
        let (_, answer) = apis.call("GET", &format!("/v1/jobs/{job}"), None);
        let job = &answer["job"];
        assert_eq!(job["state"], "completed", "{job}");
        *attempts.entry(job["attempts"].as_i64().expect("a number")).or_default() += 1;
        workers_seen.insert(job["claimed_by"].as_str().expect("a name").to_owned());
        assert_eq!(psql(url, CHECK), expected, "{project}: {job}");
    }
    eprintln!(
        "{count} imports in {:.0} s, {kills} workers killed; attempts {attempts:?}; {} workers had the last word",
        took.as_secs_f64(),
        workers_seen.len()
    );
    let told = "select string_agg(event_type || ' ' || times, ',' order by event_type) from (
                    select event_type, count(*) times from webhook_deliveries
                    where body::jsonb->'data'->>'job_type' = 'project.import' group by 1) t";
    assert_eq!(ground.ask(told), format!("import.completed {count},job.completed {count}"));
    let distinct = "select count(distinct (event_type, body::jsonb->'data'->>'job_id')) from webhook_deliveries
                    where body::jsonb->'data'->>'job_type' = 'project.import'";
    assert_eq!(ground.ask(distinct), (2 * count).to_string(), "once for each job");
    assert_eq!(ground.ask("select count(*) from jobs where secret is not null"), "0");
    let left = "select string_agg(datname, ' ') from pg_database where datname like 'capydb\\_%'";
    until("no database is left over", || ground.ask(left).is_empty());
    until("no dump is left over", || object_store::files(&ground.bucket.1).is_empty());
    let work = std::fs::read_dir(ground.folder.join("work")).expect("lists").flatten().next().expect("a folder").path();
    until("no work folder is left over", || std::fs::read_dir(&work).expect("lists").count() == 0);
}

/// A worker that was asleep for longer than its lease finds its job in other hands.
#[test]
fn a_worker_that_wakes_too_late_changes_nothing() {
    let (ground, source) = (Ground::lay(&[]), Source::start(15, &[]));
    let url = source.create("late", &held_by("sleep"));
    let apis = Apis::new(vec![ground.start("api", &[])], ground.new_key());
    let sleeper = ground.start("worker", &[]);
    let projects = apis.projects(1);
    let (id, target) = &projects[0];
    psql(&ground.server.url("postgres"), "create role sleep");
    let body = json!({ "confirm": true, "recreate": true, "source_url": url });
    let (_, answer) = apis.call("POST", &format!("/v1/projects/{id}/imports"), Some(&body));
    let path = format!("/v1/jobs/{}", answer["job"]["id"].as_str().expect("an id"));
    let job = || apis.call("GET", &path, None).1["job"].clone();
    until("rows are loaded", || job()["result"]["progress"]["phase"] == "loading");
    sleeper.signal(Signal::STOP);
    let _worker = ground.start("worker", &[]);
    until("another one has it", || job()["attempts"] == 2);
    until("that one loads rows", || job()["result"]["progress"]["phase"] == "loading");
    psql(&ground.server.url("postgres"), "drop role sleep");
    until("it is over", || job()["state"] == "completed");
    let (ended, rows) = (job(), "select count(*) from held_by_sleep");
    assert_eq!(psql(target, rows), "1");
    sleeper.signal(Signal::CONT);
    let over = |outcome: &str| {
        let line = format!("capydb_jobs_total{{kind=\"project.import\",outcome=\"{outcome}\"}} 1");
        sleeper.page("/metrics").1.contains(&line)
    };
    until("the first one knows", || over("lost") || over("unresolved"));
    assert_eq!(job(), ended);
    assert_eq!(psql(target, rows), "1");
    let left = "select string_agg(datname, ' ') from pg_database where datname like 'capydb\\_%'";
    until("no database is left over", || ground.ask(left).is_empty());
}

/// What a worker that is told to stop hands back is the next one's, with the folder of its name.
#[test]
fn a_job_that_is_handed_back_is_done_by_the_next_worker() {
    let (ground, source) = (Ground::lay(&[]), Source::start(15, &[]));
    let url = source.create("handed", &held_by("rest"));
    let apis = Apis::new(vec![ground.start("api", &[])], ground.new_key());
    let first = ground.start("worker", &[]);
    let projects = apis.projects(1);
    psql(&ground.server.url("postgres"), "create role rest");
    let body = json!({ "confirm": true, "recreate": true, "source_url": url });
    let (_, answer) = apis.call("POST", &format!("/v1/projects/{}/imports", projects[0].0), Some(&body));
    let path = format!("/v1/jobs/{}", answer["job"]["id"].as_str().expect("an id"));
    let job = || apis.call("GET", &path, None).1["job"].clone();
    let loads = || job()["result"]["progress"]["phase"] == "loading";
    until("rows are loaded", loads);
    let _second = ground.start("worker", &[]);
    drop(first); // as a service manager ends it
    until("the second one loads rows", loads);
    psql(&ground.server.url("postgres"), "drop role rest");
    until("it is over", || job()["state"] == "completed");
    assert_eq!(job()["attempts"], 1, "a stop is not a failed attempt");
    assert_eq!(psql(&projects[0].1, "select count(*) from held_by_rest"), "1");
}

/// A random byte; what it decides need not come again.
fn random_byte() -> u8 {
    u8::from_str_radix(&capydb::server::crypto::random_hex(1), 16).expect("a byte")
}

#[test]
fn the_queue_does_not_mind_what_is_finished() {
    let ground = Ground::lay(&["shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track=top"]);
    psql(&ground.server.url("capydb"), "create extension pg_stat_statements");
    let apis = Apis::new(vec![ground.start("api", &[])], ground.new_key());
    let _worker = ground.start("worker", &["--concurrency", "2"]);
    // What one look for work costs, in blocks and in milliseconds, while there is work and while not.
    let cost = |projects: usize| -> (f64, f64) {
        ground.ask("vacuum analyze jobs; select pg_stat_statements_reset()");
        for number in 0..projects {
            let name = json!({ "name": format!("{} {number}", capydb::server::crypto::random_hex(4)) });
            let (_, made) = apis.call("POST", "/v1/projects", Some(&name));
            let job = format!("/v1/jobs/{}", made["job"]["id"].as_str().expect("an id"));
            until("it is ready", || apis.call("GET", &job, None).1["job"]["state"] == "completed");
        }
        let sql =
            "select calls, (shared_blks_hit + shared_blks_read) / calls::float8, mean_exec_time from pg_stat_statements
                   where query like 'update jobs set state = % attempts = attempts + $%' order by calls desc limit 1";
        let row = ground.ask(sql);
        let numbers: Vec<f64> = row.split('|').map(|text| text.parse().expect("a number")).collect();
        assert!(numbers[0] >= 20.0, "it was looked often enough: {row}");
        (numbers[1], numbers[2])
    };
    let (before, before_ms) = cost(15);
    ground.ask(
        "insert into jobs (id, type, state, attempts, max_attempts, organization_id, project_id, request, created_at, completed_at, result)
         select gen_random_uuid()::text, 'project.import', case when n % 7 = 0 then 'failed' else 'completed' end, 1, 5,
             organization_id, project_id, request, now() - n * interval '1 second', now(), '{\"rows\": 1}'
         from (select * from jobs limit 1) j, generate_series(1, 100000) n",
    );
    let (after, after_ms) = cost(15);
    eprintln!(
        "a claim costs {before:.1} blocks ({before_ms:.3} ms) with a few jobs, {after:.1} ({after_ms:.3} ms) with 100,000 finished ones"
    );
    assert!(after <= before * 1.5 + 5.0, "{before} blocks before, {after} after");
}

#[test]
fn a_process_tells_how_it_is() {
    let ground = Ground::lay(&[]);
    let (api, worker) = (ground.start("api", &[]), ground.start("worker", &[]));
    for process in [&api, &worker] {
        assert_eq!(process.page("/livez"), (200, "ok\n".to_owned()));
        assert_eq!(process.page("/readyz"), (200, "ok\n".to_owned()));
    }
    assert_eq!(worker.page("/api/capydb/status").0, 404, "a worker has no API");
    let apis = Apis::new(vec![api], ground.new_key());
    let projects = apis.projects(1);
    let (_, numbers) = apis.cluster[0].page("/metrics");
    for line in [
        "capydb_http_requests_total{method=\"POST\",path=\"/api/capydb/v1/projects\",status=\"202\"} 1",
        "# TYPE capydb_http_request_duration_seconds histogram",
        "# EOF",
    ] {
        assert!(numbers.contains(line), "{line} in {numbers}");
    }
    let (_, numbers) = worker.page("/metrics");
    for line in ["capydb_jobs_total{kind=\"project.create\",outcome=\"completed\"} 1", "capydb_queue_claims_total"] {
        assert!(numbers.contains(line), "{line} in {numbers}");
    }
    // What runs is told with its type and state: this one waits for a source that says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("postgres://u:p@{}/d?sslmode=disable", silent.local_addr().expect("an address"));
    let (id, _) = &projects[0];
    let (status, _) =
        apis.call("POST", &format!("/v1/projects/{id}/imports"), Some(&json!({ "confirm": true, "source_url": url })));
    assert_eq!(status, 202);
    until("the queue tells of it", || {
        worker.page("/metrics").1.contains("capydb_queue_jobs{kind=\"project.import\",state=\"running\"} 1")
    });
    // Every line of the log is a document.
    let log = ground.log();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    assert!(log.contains("\"span\":{\"attempt\":1,\"id\":\""), "{log}");
    // Without its metadata it lives, and is not ready.
    drop(ground.server);
    assert_eq!(apis.cluster[0].page("/livez").0, 200);
    assert_eq!(apis.cluster[0].page("/readyz").0, 503);
}

#[test]
fn a_server_that_cannot_work_says_why() {
    let ground = Ground::lay(&[]);
    let (bucket, key) = (["--object-store", "s3://dumps/fleet"], ground.new_key());
    assert!(key.starts_with("capy_live_"), "{key}");
    let with = |arguments: &[&str]| ground.command(&[&["--listen", "127.0.0.1:0"], arguments].concat());
    let fails = |mut command: std::process::Command, changes: &[(&str, &str)], code: i32, words: &str| {
        command.envs(changes.iter().copied());
        let ran = run(command).fails(code, words);
        assert!(!format!("{ran:?}").contains("source-secret"), "{ran:#?}");
    };
    fails(with(&[]), &[], 2, "--object-store is missing");
    fails(with(&bucket), &[("CAPYDB_DATABASE_URL", "")], 2, "CAPYDB_DATABASE_URL is not set");
    fails(with(&bucket), &[("CAPYDB_SECRET_KEY", "")], 2, "CAPYDB_SECRET_KEY is not set");
    fails(with(&bucket), &[("CAPYDB_SECRET_KEY", "abc")], 1, "must have 64 hexadecimal digits");
    let other = "f".repeat(64);
    fails(with(&bucket), &[("CAPYDB_SECRET_KEY", &other)], 1, "does not match this metadata");
    fails(with(&bucket), &[("CAPYDB_DATABASE_URL", "mysql://u:canary@h/d")], 1, "found `mysql://`");
    let nowhere = "postgres://owner:source-secret@127.0.0.1:1/capydb";
    fails(with(&bucket), &[("CAPYDB_DATABASE_URL", nowhere)], 1, "refused");
    psql(&ground.server.url("postgres"), "create role small login password 'source-secret'");
    let small = ground.server.url("postgres").replace("owner:", "small:");
    fails(with(&bucket), &[("CAPYDB_TARGET_URL", &small)], 1, "must be a superuser");
    fails(with(&bucket), &[("AWS_SECRET_ACCESS_KEY", "wrong-canary")], 1, "cannot use the object store");
    fails(with(&["--object-store", "dumps"]), &[], 1, "s3://bucket/prefix");
    let everywhere = ground.command(&["--listen", "0.0.0.0:0", bucket[0], bucket[1]]);
    fails(everywhere, &[], 1, "--public-url");
    fails(with(&["--object-store", "s3://nowhere"]), &[], 1, "bucket not found: nowhere");
    // Another organization must not be taken for this one.
    run(ground.command(&["new-key", "--organization", "ACME!"])).fails(1, "belongs to the organization Acme");
    // A key that has leaked opens nothing any more.
    let revoke = |key: &str| {
        let mut command = ground.command(&["revoke-key"]);
        command.stdin(std::process::Stdio::piped());
        let mut child = command.spawn().expect("capydb runs");
        child.stdin.take().expect("a pipe").write_all(key.as_bytes()).expect("written");
        Ran::of(&child.wait_with_output().expect("ends"))
    };
    assert!(revoke(&format!("{key}\n")).succeeds().stdout.contains("Revoked the API key"));
    revoke(&key).fails(4, "API key not found");
    revoke("").fails(2, "no API key on standard input");
    // What is in the work folder and not ours stays.
    let precious = ground.folder.join("precious");
    std::fs::create_dir_all(precious.join("photos")).expect("made");
    std::fs::write(precious.join("photos/one"), "1").expect("written");
    drop(ground.start("worker", &["--work-dir", precious.to_str().expect("a path")]));
    assert!(precious.join("photos/one").is_file());
    let old = support::fixtures::postgres(15);
    fails(with(&bucket), &[("CAPYDB_POSTGRES_BIN", old.to_str().expect("a path"))], 1, "the target runs Postgres 17");
    // Roles of projects have no business in the metadata.
    let fake_postgres = ground.server.url("capydb").replace("owner:", "small:");
    assert!(try_psql(&fake_postgres, "select 1").stderr.contains("permission denied for database"));
}
