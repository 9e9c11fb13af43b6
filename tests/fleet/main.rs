//! Tests a control plane of several processes: no import is lost or applied twice when processes
//! die.
//!
//! `CAPYDB_FLEET` sets the number of imports.
#![cfg(feature = "server")]
#![expect(clippy::print_stderr, reason = "the tests print measurements")]

#[path = "../support/cluster.rs"]
mod cluster;
#[path = "../support/object_store.rs"]
mod object_store;
#[path = "../support/mod.rs"]
mod support;

use cluster::{ApiPool, Cluster, Process};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use support::fixtures::{Source, held_table, psql, put, test_dir, try_psql};
use support::{Ran, run, until};

/// Source data, large enough that a worker can be killed during the import.
const DATA: &str = "create table big as select n, md5(n::text) as t from generate_series(1, 300000) n;
    alter table big add primary key (n);
    create index on big (t);
    create role fleet_role;
    alter table big enable row level security;
    create policy p on big to fleet_role using (true)";

/// Row count and checksum, which must be equal in every target.
const CHECK: &str = "select count(*) || ' ' || count(distinct n) || ' ' || sum(hashtext(t)) from big";

const WORKERS: usize = 3;

/// Queues an import for each project: from a source or a dump, with and without `recreate`.
fn queue(apis: &ApiPool, source: &Source, projects: &[(String, String)]) -> Vec<String> {
    let dir = test_dir();
    let dumps = ["custom", "plain"].map(|format| {
        let file = dir.join(format);
        source.dump("fleet", format, &file);
        std::fs::read(file).expect("read file")
    });
    let start = |(number, (project, _)): (usize, &(String, String))| {
        let path = format!("/v1/projects/{project}/imports");
        let mut body = json!({ "confirm": true, "recreate": number % 2 == 0 });
        if number % 4 < 2 {
            body["source_url"] = json!(source.url("fleet"));
        } else {
            let (_, slot) = apis.call("POST", &format!("{path}/uploads"), None);
            let url = slot["upload"]["upload_url"].as_str().expect("upload URL");
            assert_eq!(put(url, dumps[number % 2].clone()).0, 200, "the store accepts the presigned URL");
            body["upload_key"] = slot["upload"]["object_key"].clone();
        }
        let (status, response) = apis.call("POST", &path, Some(&body));
        assert_eq!(status, 202, "{response}");
        response["job"]["id"].as_str().expect("job id").to_owned()
    };
    projects.iter().enumerate().map(start).collect()
}

#[test]
fn imports_complete_when_workers_are_killed() {
    let count: usize = std::env::var("CAPYDB_FLEET").map_or(6, |text| text.parse().expect("number"));
    let (cluster, source) = (Cluster::create(&[]), Source::start(15, &[]));
    source.create("fleet", DATA);
    let apis = ApiPool::new((0..3).map(|_| cluster.start("api", &[])).collect(), cluster.new_key());
    let worker = || cluster.start("worker", &["--concurrency", "2"]);
    let mut workers: Vec<Process> = (0..WORKERS).map(|_| worker()).collect();
    // Each event must be queued for delivery exactly once; the endpoint does not exist.
    let (_, me) = apis.call("GET", "/v1/me", None);
    let endpoints =
        format!("/v1/organizations/{}/webhook-endpoints", me["organization"]["id"].as_str().expect("organization id"));
    assert_eq!(apis.call("POST", &endpoints, Some(&json!({ "url": "https://hooks.invalid/" }))).0, 201);
    let projects = apis.projects(count);
    let (started, jobs) = (Instant::now(), queue(&apis, &source, &projects));
    let has_open_jobs = || cluster.ask("select count(*) from jobs where state in ('pending', 'running')") != "0";
    let mut kills = 0;
    // A job has at most five attempts, so workers with a job that has used four are not killed.
    while has_open_jobs() && kills < count / 3 {
        std::thread::sleep(Duration::from_millis(u64::from(random_byte()) * 4));
        let owner = cluster.ask(
            "select claimed_by from jobs j where state = 'running' and lease_until > now() and not exists (
                 select from jobs k where k.state = 'running' and k.attempts > 3
                 and split_part(k.claimed_by, '-', -2) = split_part(j.claimed_by, '-', -2))
             order by random() limit 1",
        );
        let victim = workers.iter().position(|worker| owner.contains(&format!("-{}-", worker.pid())));
        if let Some(victim) = victim {
            workers.swap_remove(victim).kill();
            workers.push(worker());
            kills += 1;
        }
    }
    let waiting = Instant::now();
    while has_open_jobs() {
        assert!(waiting.elapsed() < Duration::from_mins(10), "imports do not finish");
        std::thread::sleep(Duration::from_millis(200));
    }
    let elapsed = started.elapsed();
    let expected = psql(&source.url("fleet"), CHECK);
    let mut attempts: BTreeMap<i64, usize> = BTreeMap::new();
    let mut final_workers = BTreeSet::new();
    for (job, (project, url)) in jobs.iter().zip(&projects) {
        let (_, response) = apis.call("GET", &format!("/v1/jobs/{job}"), None);
        let job = &response["job"];
        assert_eq!(job["state"], "completed", "{job}");
        *attempts.entry(job["attempts"].as_i64().expect("number")).or_default() += 1;
        final_workers.insert(job["claimed_by"].as_str().expect("worker name").to_owned());
        assert_eq!(psql(url, CHECK), expected, "{project}: {job}");
    }
    eprintln!(
        "{count} imports in {:.0} s, {kills} workers killed; attempts {attempts:?}; finished by {} workers",
        elapsed.as_secs_f64(),
        final_workers.len()
    );
    let deliveries = "select string_agg(event_type || ' ' || times, ',' order by event_type) from (
                    select event_type, count(*) times from webhook_deliveries
                    where body::jsonb->'data'->>'job_type' = 'project.import' group by 1) t";
    assert_eq!(cluster.ask(deliveries), format!("import.completed {count},job.completed {count}"));
    let distinct = "select count(distinct (event_type, body::jsonb->'data'->>'job_id')) from webhook_deliveries
                    where body::jsonb->'data'->>'job_type' = 'project.import'";
    assert_eq!(cluster.ask(distinct), (2 * count).to_string(), "two events per job");
    assert_eq!(cluster.ask("select count(*) from jobs where secret is not null"), "0");
    let databases = "select string_agg(datname, ' ') from pg_database where datname like 'capydb\\_%'";
    until("import databases are removed", || cluster.ask(databases).is_empty());
    until("dumps are removed", || object_store::files(&cluster.bucket.1).is_empty());
    let entries = |dir: &Path| std::fs::read_dir(dir).expect("list directory");
    let work = entries(&cluster.dir.join("work")).flatten().next().expect("work directory").path();
    until("work directories are removed", || entries(&work).count() == 0);
}

/// A worker that was suspended for longer than its lease has lost its job to another worker.
#[test]
fn a_worker_that_resumes_after_its_lease_changes_nothing() {
    let (cluster, source) = (Cluster::create(&[]), Source::start(15, &[]));
    let url = source.create("late", &held_table("sleep"));
    let apis = ApiPool::new(vec![cluster.start("api", &[])], cluster.new_key());
    let suspended = cluster.start("worker", &[]);
    let projects = apis.projects(1);
    let (id, target) = &projects[0];
    psql(&cluster.server.url("postgres"), "create role sleep");
    let body = json!({ "confirm": true, "recreate": true, "source_url": url });
    let (_, response) = apis.call("POST", &format!("/v1/projects/{id}/imports"), Some(&body));
    let path = format!("/v1/jobs/{}", response["job"]["id"].as_str().expect("job id"));
    let job = || apis.call("GET", &path, None).1["job"].clone();
    until("rows are loaded", || job()["result"]["progress"]["phase"] == "loading");
    suspended.signal(Signal::STOP);
    let _worker = cluster.start("worker", &[]);
    until("another worker has claimed the job", || job()["attempts"] == 2);
    until("the other worker loads rows", || job()["result"]["progress"]["phase"] == "loading");
    psql(&cluster.server.url("postgres"), "drop role sleep");
    until("the job is completed", || job()["state"] == "completed");
    let (completed, rows) = (job(), "select count(*) from held_by_sleep");
    assert_eq!(psql(target, rows), "1");
    suspended.signal(Signal::CONT);
    let reports = |outcome: &str| {
        let line = format!("capydb_jobs_total{{kind=\"project.import\",outcome=\"{outcome}\"}} 1");
        suspended.page("/metrics").1.contains(&line)
    };
    until("the suspended worker reports the lost job", || reports("lost") || reports("unresolved"));
    assert_eq!(job(), completed);
    assert_eq!(psql(target, rows), "1");
    let databases = "select string_agg(datname, ' ') from pg_database where datname like 'capydb\\_%'";
    until("import databases are removed", || cluster.ask(databases).is_empty());
}

/// A worker that stops releases its job, and another worker runs it in the same work directory.
#[test]
fn a_released_job_is_completed_by_another_worker() {
    let (cluster, source) = (Cluster::create(&[]), Source::start(15, &[]));
    let url = source.create("released", &held_table("rest"));
    let apis = ApiPool::new(vec![cluster.start("api", &[])], cluster.new_key());
    let first = cluster.start("worker", &[]);
    let projects = apis.projects(1);
    psql(&cluster.server.url("postgres"), "create role rest");
    let body = json!({ "confirm": true, "recreate": true, "source_url": url });
    let (_, response) = apis.call("POST", &format!("/v1/projects/{}/imports", projects[0].0), Some(&body));
    let path = format!("/v1/jobs/{}", response["job"]["id"].as_str().expect("job id"));
    let job = || apis.call("GET", &path, None).1["job"].clone();
    let is_loading = || job()["result"]["progress"]["phase"] == "loading";
    until("rows are loaded", is_loading);
    let _second = cluster.start("worker", &[]);
    drop(first); // sends SIGTERM
    until("the second worker loads rows", is_loading);
    psql(&cluster.server.url("postgres"), "drop role rest");
    until("the job is completed", || job()["state"] == "completed");
    assert_eq!(job()["attempts"], 1, "a release is not a failed attempt");
    assert_eq!(psql(&projects[0].1, "select count(*) from held_by_rest"), "1");
}

/// A random byte; these tests need not be reproducible.
fn random_byte() -> u8 {
    u8::from_str_radix(&capydb::server::crypto::random_hex(1), 16).expect("hexadecimal byte")
}

#[test]
fn finished_jobs_do_not_slow_down_the_queue() {
    let cluster = Cluster::create(&["shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track=top"]);
    psql(&cluster.server.url("capydb"), "create extension pg_stat_statements");
    let apis = ApiPool::new(vec![cluster.start("api", &[])], cluster.new_key());
    let _worker = cluster.start("worker", &["--concurrency", "2"]);
    // Blocks and milliseconds per claim query, averaged over busy and idle times.
    let cost = |projects: usize| -> (f64, f64) {
        cluster.ask("vacuum analyze jobs; select pg_stat_statements_reset()");
        for number in 0..projects {
            let name = json!({ "name": format!("{} {number}", capydb::server::crypto::random_hex(4)) });
            let (_, response) = apis.call("POST", "/v1/projects", Some(&name));
            let job = format!("/v1/jobs/{}", response["job"]["id"].as_str().expect("job id"));
            until("the project is ready", || apis.call("GET", &job, None).1["job"]["state"] == "completed");
        }
        // A statement that was prepared before the reset is listed with its constants, others with `$n`.
        let sql =
            "select calls, (shared_blks_hit + shared_blks_read) / calls::float8, mean_exec_time from pg_stat_statements
                   where query like 'update jobs set state = % attempts = attempts + %' order by calls desc limit 1";
        let row = cluster.ask(sql);
        let numbers: Vec<f64> = row.split('|').map(|text| text.parse().expect("number")).collect();
        assert!(numbers[0] >= 20.0, "too few claims: {row}");
        (numbers[1], numbers[2])
    };
    let (before, before_ms) = cost(15);
    cluster.ask(
        "insert into jobs (id, type, state, attempts, max_attempts, organization_id, project_id, request, created_at, completed_at, result)
         select gen_random_uuid()::text, 'project.import', case when n % 7 = 0 then 'failed' else 'completed' end, 1, 5,
             organization_id, project_id, request, now() - n * interval '1 second', now(), '{\"rows\": 1}'
         from (select * from jobs limit 1) j, generate_series(1, 100000) n",
    );
    let (after, after_ms) = cost(15);
    eprintln!(
        "a claim reads {before:.1} blocks ({before_ms:.3} ms) with a few jobs, \
         {after:.1} ({after_ms:.3} ms) with 100,000 finished jobs"
    );
    assert!(after <= before * 1.5 + 5.0, "{before} blocks before, {after} after");
}

#[test]
fn processes_report_health_and_metrics() {
    let cluster = Cluster::create(&[]);
    let (api, worker) = (cluster.start("api", &[]), cluster.start("worker", &[]));
    for process in [&api, &worker] {
        assert_eq!(process.page("/livez"), (200, "ok\n".to_owned()));
        assert_eq!(process.page("/readyz"), (200, "ok\n".to_owned()));
    }
    assert_eq!(worker.page("/api/capydb/status").0, 404, "a worker has no API");
    let apis = ApiPool::new(vec![api], cluster.new_key());
    let projects = apis.projects(1);
    let (_, metrics) = apis.processes[0].page("/metrics");
    for line in [
        "capydb_http_requests_total{method=\"POST\",path=\"/api/capydb/v1/projects\",status=\"202\"} 1",
        "# TYPE capydb_http_request_duration_seconds histogram",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
    let (_, metrics) = worker.page("/metrics");
    for line in ["capydb_jobs_total{kind=\"project.create\",outcome=\"completed\"} 1", "capydb_queue_claims_total"] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
    // Unfinished jobs are counted by kind and state. This job waits for a source that sends nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let url = format!("postgres://u:p@{}/d?sslmode=disable", silent.local_addr().expect("local address"));
    let (id, _) = &projects[0];
    let (status, _) =
        apis.call("POST", &format!("/v1/projects/{id}/imports"), Some(&json!({ "confirm": true, "source_url": url })));
    assert_eq!(status, 202);
    until("the running job is counted", || {
        worker.page("/metrics").1.contains("capydb_queue_jobs{kind=\"project.import\",state=\"running\"} 1")
    });
    // Every log line is a JSON object.
    let log = cluster.log();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    assert!(log.contains("\"span\":{\"attempt\":1,\"id\":\""), "{log}");
    // Without the metadata database, a process is alive but not ready.
    drop(cluster.server);
    assert_eq!(apis.processes[0].page("/livez").0, 200);
    assert_eq!(apis.processes[0].page("/readyz").0, 503);
}

#[test]
fn configuration_errors_are_reported() {
    let cluster = Cluster::create(&[]);
    let (bucket, key) = (["--object-store", "s3://dumps/fleet"], cluster.new_key());
    assert!(key.starts_with("capy_live_"), "{key}");
    let with = |arguments: &[&str]| cluster.command(&[&["--listen", "127.0.0.1:0"], arguments].concat());
    let fails = |mut command: std::process::Command, changes: &[(&str, &str)], code: i32, message: &str| {
        command.envs(changes.iter().copied());
        let ran = run(command).fails(code, message);
        assert!(!format!("{ran:?}").contains("source-secret"), "{ran:#?}");
    };
    fails(with(&[]), &[], 2, "--object-store is missing");
    fails(with(&bucket), &[("CAPYDB_DATABASE_URL", "")], 2, "CAPYDB_DATABASE_URL is not set");
    fails(with(&bucket), &[("CAPYDB_SECRET_KEY", "")], 2, "CAPYDB_SECRET_KEY is not set");
    fails(with(&bucket), &[("CAPYDB_SECRET_KEY", "abc")], 1, "must have 64 hexadecimal digits");
    let other_key = "f".repeat(64);
    fails(with(&bucket), &[("CAPYDB_SECRET_KEY", &other_key)], 1, "does not match this metadata");
    fails(with(&bucket), &[("CAPYDB_DATABASE_URL", "mysql://u:canary@h/d")], 1, "found `mysql://`");
    let unreachable = "postgres://owner:source-secret@127.0.0.1:1/capydb";
    fails(with(&bucket), &[("CAPYDB_DATABASE_URL", unreachable)], 1, "refused");
    psql(&cluster.server.url("postgres"), "create role limited login password 'source-secret'");
    let limited = cluster.server.url("postgres").replace("owner:", "limited:");
    fails(with(&bucket), &[("CAPYDB_TARGET_URL", &limited)], 1, "must be a superuser");
    fails(with(&bucket), &[("AWS_SECRET_ACCESS_KEY", "wrong-canary")], 1, "cannot use the object store");
    fails(with(&["--object-store", "dumps"]), &[], 1, "s3://bucket/prefix");
    let all_interfaces = cluster.command(&["--listen", "0.0.0.0:0", bucket[0], bucket[1]]);
    fails(all_interfaces, &[], 1, "--public-url");
    fails(with(&["--object-store", "s3://nowhere"]), &[], 1, "bucket not found: nowhere");
    // A different organization name with the same slug is rejected.
    run(cluster.command(&["new-key", "--organization", "ACME!"])).fails(1, "belongs to the organization Acme");
    // A leaked API key can be revoked.
    let revoke = |key: &str| {
        let mut command = cluster.command(&["revoke-key"]);
        command.stdin(std::process::Stdio::piped());
        let mut child = command.spawn().expect("spawn capydb");
        child.stdin.take().expect("piped stdin").write_all(key.as_bytes()).expect("write to stdin");
        Ran::of(&child.wait_with_output().expect("wait for capydb"))
    };
    assert!(revoke(&format!("{key}\n")).succeeds().stdout.contains("Revoked the API key"));
    revoke(&key).fails(4, "API key not found");
    revoke("").fails(2, "no API key on standard input");
    // Foreign files in the work directory are kept.
    let work = cluster.dir.join("shared");
    std::fs::create_dir_all(work.join("photos")).expect("create directory");
    std::fs::write(work.join("photos/one"), "1").expect("write file");
    drop(cluster.start("worker", &["--work-dir", work.to_str().expect("UTF-8 path")]));
    assert!(work.join("photos/one").is_file());
    let old = support::fixtures::postgres(15);
    fails(
        with(&bucket),
        &[("CAPYDB_POSTGRES_BIN", old.to_str().expect("UTF-8 path"))],
        1,
        "the target runs Postgres 17",
    );
    // Other roles cannot connect to the metadata database.
    let metadata = cluster.server.url("capydb").replace("owner:", "limited:");
    assert!(try_psql(&metadata, "select 1").stderr.contains("permission denied for database"));
}
