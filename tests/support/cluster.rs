//! The processes of one control plane: what `capydb server` is, several times.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test program uses its own part")]

use crate::object_store;
use crate::support::fixtures::{Source, call, open_folder, postgres, psql};
use crate::support::{capydb, run, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// 64 digits, the same for all processes.
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// What all processes share.
pub(crate) struct Ground {
    /// Metadata, queue and targets.
    pub(crate) server: Source,
    /// Where the bucket answers, and where its files are.
    pub(crate) bucket: (String, PathBuf),
    pub(crate) folder: PathBuf,
}

impl Ground {
    pub(crate) fn lay(settings: &[&str]) -> Self {
        let all = [&["max_connections=300", "max_locks_per_transaction=512"], settings].concat();
        let server = Source::start(17, &all);
        psql(&server.url("postgres"), "create database capydb");
        Self { server, bucket: object_store::bucket(), folder: open_folder() }
    }

    /// A command of `capydb server`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = capydb(&[&["server"], arguments].concat());
        command
            .env("CAPYDB_DATABASE_URL", self.server.url("capydb"))
            .env("CAPYDB_SECRET_KEY", KEY)
            .env("CAPYDB_POSTGRES_BIN", postgres(17))
            .envs(object_store::variables(&self.bucket.0, object_store::SECRET));
        command
    }

    pub(crate) fn new_key(&self) -> String {
        run(self.command(&["new-key", "--organization", "Acme"])).succeeds().stdout.trim().to_owned()
    }

    /// Starts a process and waits until it listens.
    pub(crate) fn start(&self, role: &str, more: &[&str]) -> Process {
        let mut command = self.command(&["--role", role, "--object-store", "s3://dumps/fleet", "-o", "json"]);
        command.args(["--listen", "127.0.0.1:0", "--allow-private-sources", "true"]).args(more);
        if !more.contains(&"--work-dir") {
            command.arg("--work-dir").arg(self.folder.join("work"));
        }
        let log = std::fs::File::options().create(true).append(true).open(self.folder.join("log")).expect("a log");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("capydb runs");
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        while serde_json::from_str::<Value>(&said).is_err() {
            let read = lines.read_line(&mut said).expect("reads");
            assert!(read > 0, "it ended: {}", self.log());
        }
        let said: Value = serde_json::from_str(&said).expect("JSON");
        let address = said["address"].as_str().expect("an address").to_owned();
        Process { child, address }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).expect("reads")
    }

    /// Asks the metadata.
    pub(crate) fn ask(&self, sql: &str) -> String {
        psql(&self.server.url("capydb"), sql)
    }
}

/// A process that runs until it is dropped or killed.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
}

impl Process {
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process")).expect("a number");
        kill_process(pid, signal).expect("is there");
    }

    /// A page for those who watch over it.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        let (status, text) = call("GET", &format!("http://{}{path}", self.address), "", None);
        (status, text.as_str().map_or_else(|| text.to_string(), str::to_owned))
    }
}

impl Drop for Process {
    /// As a service manager ends it.
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process")).expect("a number");
        let _ = kill_process(pid, Signal::TERM); // it may be gone
        let _ = self.child.wait();
    }
}

/// Several API processes, of which every call goes to the next.
pub(crate) struct Apis {
    pub(crate) cluster: Vec<Process>,
    pub(crate) key: String,
    next: std::cell::Cell<usize>,
}

impl Apis {
    pub(crate) fn new(cluster: Vec<Process>, key: String) -> Self {
        Self { cluster, key, next: std::cell::Cell::new(0) }
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let process = &self.cluster[self.next.get() % self.cluster.len()];
        self.next.set(self.next.get() + 1);
        call(method, &format!("http://{}/api/capydb{path}", process.address), &self.key, body)
    }

    /// Makes projects, and waits until they are ready; gives their ids and connection strings.
    pub(crate) fn projects(&self, count: usize) -> Vec<(String, String)> {
        let made: Vec<(String, String)> = (0..count)
            .map(|number| {
                let (status, made) =
                    self.call("POST", "/v1/projects", Some(&json!({ "name": format!("fleet {number}") })));
                assert_eq!(status, 202, "{made}");
                let text = |value: &Value| value.as_str().expect("a text").to_owned();
                (text(&made["project"]["id"]), text(&made["job"]["id"]))
            })
            .collect();
        let ready = |(id, job): (String, String)| {
            until("the project is ready", || {
                self.call("GET", &format!("/v1/jobs/{job}"), None).1["job"]["state"] == "completed"
            });
            let (_, answer) = self.call("GET", &format!("/v1/projects/{id}/connections"), None);
            (id, answer["connections"]["direct_url"].as_str().expect("a URL").to_owned())
        };
        made.into_iter().map(ready).collect()
    }
}
