//! Imports while things die: whatever it is and whenever, the target is in its old state or in
//! the new one, the job says truthfully which, a retry works, and nothing is left behind.
//!
//! `CAPYDB_KILLS` sets how many imports are disturbed, `CAPYDB_SEED` how.
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
use support::fixtures::{ControlPlane, Source, fingerprint, open_folder, psql, put, try_psql};
use support::until;

/// What is imported: enough that there is something to disturb.
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

/// Ways to bring it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Url,
    Archive,
    Script,
}

struct Stage {
    source: Source,
    folder: PathBuf,
}

impl Stage {
    fn set() -> Self {
        let (source, folder) = (Source::start(15, &[]), open_folder());
        source.create("kills", DATA);
        source.dump("kills", "custom", &folder.join("Archive"));
        source.dump("kills", "plain", &folder.join("Script"));
        Self { source, folder }
    }

    /// Starts an import by the API and gives the job's id.
    fn start(&self, control_plane: &ControlPlane, project: &str, from: From, recreate: bool) -> String {
        let path = format!("/v1/projects/{project}/imports");
        let mut body = json!({ "confirm": true, "recreate": recreate });
        if from == From::Url {
            body["source_url"] = json!(self.source.url("kills"));
        } else {
            let (_, slot) = control_plane.call("POST", &format!("{path}/uploads"), None);
            let bytes = std::fs::read(self.folder.join(format!("{from:?}"))).expect("reads");
            assert_eq!(put(slot["upload"]["upload_url"].as_str().expect("a URL"), bytes).0, 200);
            body["upload_key"] = slot["upload"]["object_key"].clone();
        }
        let (status, answer) = control_plane.call("POST", &path, Some(&body));
        assert_eq!(status, 202, "{answer}");
        answer["job"]["id"].as_str().expect("an id").to_owned()
    }

    /// What a target looks like before, after an import into it, and after one that replaces it.
    fn states(&self, control_plane: &ControlPlane) -> States {
        let mut states = States { old: String::new(), joined: String::new(), replaced: String::new() };
        for recreate in [false, true] {
            let project = control_plane.project(&format!("undisturbed {recreate}"));
            project.sql(OLD);
            states.old = fingerprint(&project.url);
            let job = wait(control_plane, &self.start(control_plane, &project.id, From::Url, recreate));
            assert_eq!(job["state"], "completed", "{job}");
            let new = fingerprint(&project.url);
            if recreate {
                states.replaced = new;
            } else {
                states.joined = new;
            }
            forget(control_plane, &project.url);
        }
        states
    }
}

const OLD: &str = "create table old as select 7 as x";

struct States {
    old: String,
    joined: String,
    replaced: String,
}

fn wait(control_plane: &ControlPlane, job: &str) -> Value {
    let mut last = Value::Null;
    let started = Instant::now();
    while !["completed", "failed"].contains(&last["state"].as_str().unwrap_or_default()) {
        assert!(started.elapsed() < Duration::from_mins(3), "the job does not end: {last}");
        std::thread::sleep(Duration::from_millis(50));
        last = control_plane.call("GET", &format!("/v1/jobs/{job}"), None).1["job"].clone();
    }
    last
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// One disturbed import and all that must hold afterwards. Gives the plane back, which may be
/// a new one on the same data, and how the job ended.
fn round(
    stage: &Stage,
    states: &States,
    mut control_plane: ControlPlane,
    number: u64,
    random: &mut Random,
) -> (ControlPlane, Fault, String) {
    let from = *random.one_of(&[From::Url, From::Archive, From::Script]);
    let recreate = random.below(2) == 0;
    let fault = Fault::ALL[usize::try_from(number).expect("small") % Fault::ALL.len()];
    let delay = Duration::from_millis(random.below(1500));
    let what = format!("round {number}: {fault:?} after {delay:?} of an import from {from:?}, recreate {recreate}");
    let project = control_plane.project(&format!("round {number}"));
    project.sql(OLD);
    let (id, slug) = (project.id.clone(), project.slug.clone());
    let job = stage.start(&control_plane, &id, from, recreate);
    std::thread::sleep(delay);
    fault.strike(&control_plane, &stage.source, &job);
    if fault.ends_the_plane() {
        until("the control plane is gone", || !control_plane.is_alive());
        control_plane = ControlPlane::start_again(&control_plane.kill());
    }
    let ended = wait(&control_plane, &job);
    let target = || control_plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
    let state = fingerprint(&target());
    let new = if recreate { &states.replaced } else { &states.joined };
    match ended["state"].as_str() {
        Some("completed") => assert!(state == *new, "{what}: completed, and the target is not the new one: {ended}"),
        _ => assert!(state == states.old, "{what}: failed, and the target is not the old one: {ended}"),
    }
    nothing_is_left(&control_plane, stage, &what, ended["state"] == "failed");
    if ended["state"] == "failed" {
        assert!(ended["retry_classification"].is_string() && ended["error"].is_string(), "{what}: {ended}");
        let again = wait(&control_plane, &stage.start(&control_plane, &id, from, recreate));
        assert_eq!(again["state"], "completed", "{what}: the retry: {again}");
        assert!(fingerprint(&target()) == *new, "{what}: the retry brought something else");
    }
    forget(&control_plane, &target());
    let ended = ended["state"].as_str().expect("a state").to_owned();
    (control_plane, fault, ended)
}

/// Takes a target away, with the role that its data has brought to the server.
fn forget(control_plane: &ControlPlane, url: &str) {
    control_plane.admin("postgres", &format!("drop database if exists {} with (force)", database(url)));
    control_plane.admin("postgres", "drop role if exists kills_role");
}

fn database(url: &str) -> &str {
    url.rsplit('/').next().and_then(|rest| rest.split('?').next()).expect("a database")
}

fn nothing_is_left(control_plane: &ControlPlane, stage: &Stage, what: &str, failed: bool) {
    control_plane.has_no_leftovers();
    let sessions = "select count(*) from pg_stat_activity where application_name like 'capydb import%'";
    until(&format!("{what}: no session is left"), || control_plane.admin("postgres", sessions) == "0");
    until(&format!("{what}: no session of the source is left"), || {
        psql(&stage.source.url("postgres"), sessions) == "0"
    });
    assert_eq!(control_plane.admin("postgres", "select count(*) from pg_prepared_xacts"), "0", "{what}");
    assert_eq!(control_plane.admin("postgres", "select count(*) from pg_replication_slots"), "0", "{what}");
    let work = control_plane.data_dir.join("work");
    until(&format!("{what}: no program is left"), || faults::programs_in(&work).is_empty());
    if failed {
        let roles = control_plane.admin("postgres", "select count(*) from pg_roles where rolname = 'kills_role'");
        assert_eq!(roles, "0", "{what}: roles");
    }
}

#[test]
fn whatever_dies_nothing_is_lost() {
    let (rounds, seed) = (number("CAPYDB_KILLS", 14), number("CAPYDB_SEED", 20_261_123));
    let stage = Stage::set();
    let mut control_plane = ControlPlane::start(&[]);
    let states = stage.states(&control_plane);
    let mut random = Random::new(seed);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for number in 0..rounds {
        let (next, fault, ended) = round(&stage, &states, control_plane, number, &mut random);
        control_plane = next;
        *counts.entry(format!("{fault:?}, {ended}")).or_default() += 1;
    }
    say(&format!("kills with seed {seed}: {rounds} cases"));
    for (what, times) in counts {
        say(&format!("  {times:3} × {what}"));
    }
}

/// A file system of its own that can be filled; `None` where this user may not mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = open_folder();
        let mut command = std::process::Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tmpfs"]).arg(&folder);
        let done = command.stderr(std::process::Stdio::null()).status();
        done.is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    /// Takes all that is free.
    fn fill(&self) -> PathBuf {
        let file = self.0.join("fill");
        let mut out = std::fs::File::create(&file).expect("made");
        let disk = rustix::fs::statvfs(&self.0).expect("asks");
        let free = disk.f_bavail * disk.f_frsize;
        let _ = rustix::fs::fallocate(&out, rustix::fs::FallocateFlags::empty(), 0, free); // others take some meanwhile
        std::io::Seek::seek(&mut out, std::io::SeekFrom::End(0)).expect("goes there");
        let block = vec![0; 1 << 20];
        for length in [1 << 20, 4096, 1] {
            while out.write_all(&block[..length]).is_ok() {}
        }
        file
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status(); // it goes with the machine
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let Some(disk) = SmallDisk::mount("900m") else {
        return crate::support::skip("full-disk", "this user cannot mount a file system");
    };
    let stage = Stage::set();
    let mut control_plane = ControlPlane::start_with(&[], &[], &disk.0.join("data"));
    let states = stage.states(&control_plane);
    let mut random = Random::new(number("CAPYDB_SEED", 7));
    let rounds = number("CAPYDB_KILLS", 14) / 4;
    for number in 0..rounds {
        let (from, recreate) = (*random.one_of(&[From::Url, From::Archive, From::Script]), number % 2 == 0);
        let what = format!("round {number}: from {from:?}, recreate {recreate}");
        let project = control_plane.project(&format!("full {number}"));
        project.sql(OLD);
        let (id, slug) = (project.id.clone(), project.slug.clone());
        let job = stage.start(&control_plane, &id, from, recreate);
        std::thread::sleep(Duration::from_millis(random.below(1200)));
        let fill = disk.fill();
        std::thread::sleep(Duration::from_millis(2500));
        std::fs::remove_file(fill).expect("removed");
        if !control_plane.is_alive() {
            control_plane = ControlPlane::start_again(&control_plane.kill());
        }
        let ended = wait(&control_plane, &job);
        let target = || control_plane.run(&["projects", "url", "--project", &slug]).succeeds().stdout.trim().to_owned();
        let new = if recreate { &states.replaced } else { &states.joined };
        let expected = if ended["state"] == "completed" { new } else { &states.old };
        assert!(fingerprint(&target()) == *expected, "{what}: {ended}");
        nothing_is_left(&control_plane, &stage, &what, ended["state"] == "failed");
        say(&format!("  {what}: {}, {}", ended["state"], ended["error"]));
        let again = wait(&control_plane, &stage.start(&control_plane, &id, from, true));
        assert_eq!(again["state"], "completed", "{what}: the retry: {again}");
        forget(&control_plane, &target());
    }
    say(&format!("a full disk: {rounds} cases"));
}

#[test]
fn an_application_that_takes_all_connections_stops_nobody_else() {
    let stage = Stage::set();
    let control_plane = ControlPlane::throw_away();
    let project = control_plane.project("greedy");
    project.sql(OLD);
    let before = fingerprint(&project.url);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut held = Vec::new();
    runtime.block_on(async {
        while let Ok((client, connection)) = tokio_postgres::connect(&project.url, tokio_postgres::NoTls).await {
            held.push((client, tokio::spawn(connection)));
        }
    });
    assert!((90..=100).contains(&held.len()), "{}", held.len());
    assert!(try_psql(&project.url, "select 1").stderr.contains("too many connections"));
    for (from, recreate) in [(From::Url, true), (From::Archive, false), (From::Script, true)] {
        let job = wait(&control_plane, &stage.start(&control_plane, &project.id, from, recreate));
        let text = job.to_string();
        assert!(job["state"] == "failed" && job["retry_classification"] == "transient", "{text}");
        assert!(text.contains("53300") && text.contains("stop the application"), "{text}");
    }
    // The others go on.
    let other = control_plane.project("modest");
    let job = wait(&control_plane, &stage.start(&control_plane, &other.id, From::Url, true));
    assert_eq!(job["state"], "completed", "{job}");
    runtime.block_on(async { drop(held) });
    drop(runtime);
    until("the connections are gone", || try_psql(&project.url, "select 1").code == 0);
    assert!(fingerprint(&project.url) == before);
    let job = wait(&control_plane, &stage.start(&control_plane, &project.id, From::Url, true));
    assert_eq!(job["state"], "completed", "{job}");
}
