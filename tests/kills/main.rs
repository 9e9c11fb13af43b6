//! Tests imports that are interrupted by faults: the target is unchanged or completely imported,
//! the job reports which, a retry works, and nothing is left behind.
//!
//! `CAPYDB_KILLS` sets the number of interrupted imports, `CAPYDB_SEED` the random seed.
#![cfg(feature = "server")]

mod faults;
#[path = "../support/mod.rs"]
mod support;
mod uploads;

use faults::{Fault, Random};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::fixtures::{ControlPlane, Source, fingerprint, psql, put, test_dir, try_psql};
use support::until;

/// Source data, large enough that the import can be interrupted.
const DATA: &str = "create extension hstore;
    create role kills_role;
    create table big as select n, md5(n::text) as t, n % 97 as k from generate_series(1, 60000) n;
    alter table big add primary key (n);
    create index on big (t);
    create table child (id int primary key, big int references big, h hstore);
    insert into child select n, n, 'a=>1' from generate_series(1, 5000) n;
    create view v as select k, count(*) from big group by k;
    alter table child enable row level security;
    create policy p on child to kills_role using (true)";

/// The source of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ImportFrom {
    Url,
    Archive,
    Script,
}

/// The source server and dumps of its database.
struct Fixture {
    source: Source,
    dump_dir: PathBuf,
}

impl Fixture {
    fn create() -> Self {
        let (source, dump_dir) = (Source::start(15, &[]), test_dir());
        source.create("kills", DATA);
        source.dump("kills", "custom", &dump_dir.join("Archive"));
        source.dump("kills", "plain", &dump_dir.join("Script"));
        Self { source, dump_dir }
    }

    /// Starts an import with the API and returns the job ID.
    fn start(&self, control_plane: &ControlPlane, project: &str, from: ImportFrom, recreate: bool) -> String {
        let path = format!("/v1/projects/{project}/imports");
        let mut body = json!({ "confirm": true, "recreate": recreate });
        if from == ImportFrom::Url {
            body["source_url"] = json!(self.source.url("kills"));
        } else {
            let (_, slot) = control_plane.call("POST", &format!("{path}/uploads"), None);
            let bytes = std::fs::read(self.dump_dir.join(format!("{from:?}"))).expect("read file");
            assert_eq!(put(slot["upload"]["upload_url"].as_str().expect("upload URL"), bytes).0, 200);
            body["upload_key"] = slot["upload"]["object_key"].clone();
        }
        let (status, response) = control_plane.call("POST", &path, Some(&body));
        assert_eq!(status, 202, "{response}");
        response["job"]["id"].as_str().expect("job id").to_owned()
    }

    /// The fingerprints of a target before an import, and after one without and with `recreate`.
    fn states(&self, control_plane: &ControlPlane) -> States {
        let mut states = States { old: String::new(), added: String::new(), replaced: String::new() };
        for recreate in [false, true] {
            let project = control_plane.project(&format!("reference {recreate}"));
            project.sql(OLD_DATA);
            states.old = fingerprint(&project.url);
            let job = wait(control_plane, &self.start(control_plane, &project.id, ImportFrom::Url, recreate));
            assert_eq!(job["state"], "completed", "{job}");
            let new = fingerprint(&project.url);
            if recreate {
                states.replaced = new;
            } else {
                states.added = new;
            }
            drop_target(control_plane, &project.url);
        }
        states
    }
}

/// The contents of a target before the import.
const OLD_DATA: &str = "create table old as select 7 as x";

struct States {
    old: String,
    added: String,
    replaced: String,
}

/// Waits until a job is finished, and returns it.
fn wait(control_plane: &ControlPlane, job: &str) -> Value {
    let mut current = Value::Null;
    let started = Instant::now();
    while !["completed", "failed"].contains(&current["state"].as_str().unwrap_or_default()) {
        assert!(started.elapsed() < Duration::from_mins(3), "the job does not finish: {current}");
        std::thread::sleep(Duration::from_millis(50));
        current = control_plane.call("GET", &format!("/v1/jobs/{job}"), None).1["job"].clone();
    }
    current
}

fn env_number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Prints to standard error, which the test harness does not capture here.
fn print(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Interrupts an import and checks the result. Returns the control plane, which may have been
/// restarted on the same data, and the state of the job.
fn run_round(
    fixture: &Fixture,
    states: &States,
    mut control_plane: ControlPlane,
    number: u64,
    random: &mut Random,
) -> (ControlPlane, Fault, String) {
    let from = *random.one_of(&[ImportFrom::Url, ImportFrom::Archive, ImportFrom::Script]);
    let recreate = random.below(2) == 0;
    let fault = Fault::ALL[usize::try_from(number).expect("index fits") % Fault::ALL.len()];
    let delay = Duration::from_millis(random.below(1500));
    let case = format!("round {number}: {fault:?} after {delay:?}, import from {from:?}, recreate {recreate}");
    let project = control_plane.project(&format!("round {number}"));
    project.sql(OLD_DATA);
    let (id, slug) = (project.id.clone(), project.slug.clone());
    let job = fixture.start(&control_plane, &id, from, recreate);
    std::thread::sleep(delay);
    fault.inject(&control_plane, &fixture.source, &job);
    if fault.stops_control_plane() {
        until("the control plane has stopped", || !control_plane.is_alive());
        control_plane = ControlPlane::restart(&control_plane.kill());
    }
    let finished = wait(&control_plane, &job);
    let target = || control_plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
    let contents = fingerprint(&target());
    let imported = if recreate { &states.replaced } else { &states.added };
    match finished["state"].as_str() {
        Some("completed") => assert!(contents == *imported, "{case}: completed, but the target differs: {finished}"),
        _ => assert!(contents == states.old, "{case}: failed, but the target has changed: {finished}"),
    }
    assert_clean(&control_plane, fixture, &case, finished["state"] == "failed");
    if finished["state"] == "failed" {
        assert!(finished["retry_classification"].is_string() && finished["error"].is_string(), "{case}: {finished}");
        let retried = wait(&control_plane, &fixture.start(&control_plane, &id, from, recreate));
        assert_eq!(retried["state"], "completed", "{case}: the retry: {retried}");
        assert!(fingerprint(&target()) == *imported, "{case}: the target differs after the retry");
    }
    drop_target(&control_plane, &target());
    let state = finished["state"].as_str().expect("job state").to_owned();
    (control_plane, fault, state)
}

/// Drops a target database and the role that the import created on the server.
fn drop_target(control_plane: &ControlPlane, url: &str) {
    control_plane.admin("postgres", &format!("drop database if exists {} with (force)", database(url)));
    control_plane.admin("postgres", "drop role if exists kills_role");
}

fn database(url: &str) -> &str {
    url.rsplit('/').next().and_then(|rest| rest.split('?').next()).expect("database name")
}

/// Asserts that a finished import has left nothing on the source, the target and the machine.
fn assert_clean(control_plane: &ControlPlane, fixture: &Fixture, case: &str, failed: bool) {
    control_plane.assert_no_leftovers();
    let sessions = "select count(*) from pg_stat_activity where application_name like 'capydb import%'";
    until(&format!("{case}: sessions on the target are closed"), || control_plane.admin("postgres", sessions) == "0");
    until(&format!("{case}: sessions on the source are closed"), || {
        psql(&fixture.source.url("postgres"), sessions) == "0"
    });
    assert_eq!(control_plane.admin("postgres", "select count(*) from pg_prepared_xacts"), "0", "{case}");
    assert_eq!(control_plane.admin("postgres", "select count(*) from pg_replication_slots"), "0", "{case}");
    let work = control_plane.data_dir.join("work");
    until(&format!("{case}: programs have ended"), || faults::programs_in(&work).is_empty());
    if failed {
        let roles = control_plane.admin("postgres", "select count(*) from pg_roles where rolname = 'kills_role'");
        assert_eq!(roles, "0", "{case}: roles");
    }
}

#[test]
fn interrupted_imports_leave_the_target_old_or_new() {
    let (rounds, seed) = (env_number("CAPYDB_KILLS", 14), env_number("CAPYDB_SEED", 20_261_123));
    let fixture = Fixture::create();
    let mut control_plane = ControlPlane::start(&[]);
    let states = fixture.states(&control_plane);
    let mut random = Random::new(seed);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for number in 0..rounds {
        let (next, fault, state) = run_round(&fixture, &states, control_plane, number, &mut random);
        control_plane = next;
        *counts.entry(format!("{fault:?}, {state}")).or_default() += 1;
    }
    print(&format!("{rounds} interrupted imports with seed {seed}:"));
    for (outcome, count) in counts {
        print(&format!("  {count:3} × {outcome}"));
    }
}

/// A small temporary file system that a test can fill.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Returns `None` if this user cannot mount file systems.
    fn mount(size: &str) -> Option<Self> {
        let dir = test_dir();
        let mut command = std::process::Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tmpfs"]).arg(&dir);
        let result = command.stderr(std::process::Stdio::null()).status();
        result.is_ok_and(|status| status.success()).then_some(Self(dir))
    }

    /// Writes a file that uses all free space, and returns its path.
    fn fill(&self) -> PathBuf {
        let file = self.0.join("fill");
        let mut out = std::fs::File::create(&file).expect("create file");
        let stat = rustix::fs::statvfs(&self.0).expect("read free space");
        let free = stat.f_bavail * stat.f_frsize;
        // May fail, because the import also uses space; the loop below fills the rest.
        let _ = rustix::fs::fallocate(&out, rustix::fs::FallocateFlags::empty(), 0, free);
        std::io::Seek::seek(&mut out, std::io::SeekFrom::End(0)).expect("seek to end");
        let block = vec![0; 1 << 20];
        for length in [1 << 20, 4096, 1] {
            while out.write_all(&block[..length]).is_ok() {}
        }
        file
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status(); // cannot be reported here
    }
}

#[test]
fn a_full_disk_leaves_the_target_old_or_new() {
    let Some(disk) = SmallDisk::mount("900m") else {
        return support::skip("full-disk", "this user cannot mount a file system");
    };
    let fixture = Fixture::create();
    let mut control_plane = ControlPlane::start_with(&[], &[], &disk.0.join("data"));
    let states = fixture.states(&control_plane);
    let mut random = Random::new(env_number("CAPYDB_SEED", 7));
    let rounds = env_number("CAPYDB_KILLS", 14) / 4;
    for number in 0..rounds {
        let (from, recreate) =
            (*random.one_of(&[ImportFrom::Url, ImportFrom::Archive, ImportFrom::Script]), number % 2 == 0);
        let case = format!("round {number}: from {from:?}, recreate {recreate}");
        let project = control_plane.project(&format!("full {number}"));
        project.sql(OLD_DATA);
        let (id, slug) = (project.id.clone(), project.slug.clone());
        let job = fixture.start(&control_plane, &id, from, recreate);
        std::thread::sleep(Duration::from_millis(random.below(1200)));
        let fill = disk.fill();
        std::thread::sleep(Duration::from_millis(2500));
        std::fs::remove_file(fill).expect("remove file");
        if !control_plane.is_alive() {
            control_plane = ControlPlane::restart(&control_plane.kill());
        }
        let finished = wait(&control_plane, &job);
        let target = || control_plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
        let imported = if recreate { &states.replaced } else { &states.added };
        let expected = if finished["state"] == "completed" { imported } else { &states.old };
        assert!(fingerprint(&target()) == *expected, "{case}: {finished}");
        assert_clean(&control_plane, &fixture, &case, finished["state"] == "failed");
        print(&format!("  {case}: {}, {}", finished["state"], finished["error"]));
        let retried = wait(&control_plane, &fixture.start(&control_plane, &id, from, true));
        assert_eq!(retried["state"], "completed", "{case}: the retry: {retried}");
        drop_target(&control_plane, &target());
    }
    print(&format!("{rounds} imports with a full disk"));
}

#[test]
fn an_application_that_uses_all_connections_does_not_affect_other_projects() {
    let fixture = Fixture::create();
    let control_plane = ControlPlane::ephemeral();
    let project = control_plane.project("greedy");
    project.sql(OLD_DATA);
    let before = fingerprint(&project.url);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("build runtime");
    let mut connections = Vec::new();
    runtime.block_on(async {
        while let Ok((client, connection)) = tokio_postgres::connect(&project.url, tokio_postgres::NoTls).await {
            connections.push((client, tokio::spawn(connection)));
        }
    });
    assert!((90..=100).contains(&connections.len()), "{}", connections.len());
    assert!(try_psql(&project.url, "select 1").stderr.contains("too many connections"));
    for (from, recreate) in [(ImportFrom::Url, true), (ImportFrom::Archive, false), (ImportFrom::Script, true)] {
        let job = wait(&control_plane, &fixture.start(&control_plane, &project.id, from, recreate));
        let text = job.to_string();
        assert!(job["state"] == "failed" && job["retry_classification"] == "transient", "{text}");
        assert!(text.contains("53300") && text.contains("stop the application"), "{text}");
    }
    // Imports into other projects work.
    let other = control_plane.project("other");
    let job = wait(&control_plane, &fixture.start(&control_plane, &other.id, ImportFrom::Url, true));
    assert_eq!(job["state"], "completed", "{job}");
    runtime.block_on(async { drop(connections) });
    drop(runtime);
    until("the connections are closed", || try_psql(&project.url, "select 1").code == 0);
    assert!(fingerprint(&project.url) == before);
    let job = wait(&control_plane, &fixture.start(&control_plane, &project.id, ImportFrom::Url, true));
    assert_eq!(job["state"], "completed", "{job}");
}
