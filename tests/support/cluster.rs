//! A control plane that runs as several `capydb server` processes.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses only some of the helpers")]

use crate::object_store;
use crate::support::fixtures::{Source, call, postgres, psql, test_dir};
use crate::support::{capydb, run, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The secret key that all processes share: 64 hexadecimal digits.
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Resources that all processes share.
pub(crate) struct Cluster {
    /// The Postgres server for metadata, queue and targets.
    pub(crate) server: Source,
    /// Endpoint and directory of the object store.
    pub(crate) bucket: (String, PathBuf),
    pub(crate) dir: PathBuf,
}

impl Cluster {
    pub(crate) fn create(settings: &[&str]) -> Self {
        let settings = [&["max_connections=300", "max_locks_per_transaction=512"], settings].concat();
        let server = Source::start(17, &settings);
        psql(&server.url("postgres"), "create database capydb");
        Self { server, bucket: object_store::bucket(), dir: test_dir() }
    }

    /// A `capydb server` command.
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

    /// Starts a process and waits until it accepts connections.
    pub(crate) fn start(&self, role: &str, options: &[&str]) -> Process {
        let mut command = self.command(&["--role", role, "--object-store", "s3://dumps/fleet", "-o", "json"]);
        command.args(["--listen", "127.0.0.1:0", "--allow-private-sources", "true"]).args(options);
        if !options.contains(&"--work-dir") {
            command.arg("--work-dir").arg(self.dir.join("work"));
        }
        let log = std::fs::File::options().create(true).append(true).open(self.dir.join("log")).expect("open log");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("spawn capydb");
        let mut output = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped stdout"));
        while serde_json::from_str::<Value>(&output).is_err() {
            let length = stdout.read_line(&mut output).expect("read line");
            assert!(length > 0, "the process ended: {}", self.log());
        }
        let output: Value = serde_json::from_str(&output).expect("valid JSON");
        let address = output["address"].as_str().expect("address").to_owned();
        Process { child, address }
    }

    /// The logs of all processes.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).expect("read file")
    }

    /// Runs SQL in the metadata database.
    pub(crate) fn ask(&self, sql: &str) -> String {
        psql(&self.server.url("capydb"), sql)
    }
}

/// A `capydb server` process, which stops when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
}

impl Process {
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill process");
        self.child.wait().expect("wait for process");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("process ID")).expect("process ID");
        kill_process(pid, signal).expect("send signal");
    }

    /// Requests a monitoring path such as `/metrics`; returns status and body.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        let (status, text) = call("GET", &format!("http://{}{path}", self.address), "", None);
        (status, text.as_str().map_or_else(|| text.to_string(), str::to_owned))
    }
}

impl Drop for Process {
    /// Stops the process as a service manager does, with `SIGTERM`.
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("process ID")).expect("process ID");
        let _ = kill_process(pid, Signal::TERM); // the process may have ended
        let _ = self.child.wait();
    }
}

/// API processes that are called round-robin.
pub(crate) struct ApiPool {
    pub(crate) processes: Vec<Process>,
    pub(crate) key: String,
    next: std::cell::Cell<usize>,
}

impl ApiPool {
    pub(crate) fn new(processes: Vec<Process>, key: String) -> Self {
        Self { processes, key, next: std::cell::Cell::new(0) }
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let process = &self.processes[self.next.get() % self.processes.len()];
        self.next.set(self.next.get() + 1);
        call(method, &format!("http://{}/api/capydb{path}", process.address), &self.key, body)
    }

    /// Creates projects and waits until they are ready; returns their IDs and connection strings.
    pub(crate) fn projects(&self, count: usize) -> Vec<(String, String)> {
        let created: Vec<(String, String)> = (0..count)
            .map(|number| {
                let (status, response) =
                    self.call("POST", "/v1/projects", Some(&json!({ "name": format!("fleet {number}") })));
                assert_eq!(status, 202, "{response}");
                let text = |value: &Value| value.as_str().expect("string").to_owned();
                (text(&response["project"]["id"]), text(&response["job"]["id"]))
            })
            .collect();
        let connection = |(id, job): (String, String)| {
            until("the project is ready", || {
                self.call("GET", &format!("/v1/jobs/{job}"), None).1["job"]["state"] == "completed"
            });
            let (_, response) = self.call("GET", &format!("/v1/projects/{id}/connections"), None);
            (id, response["connections"]["direct_url"].as_str().expect("connection URL").to_owned())
        };
        created.into_iter().map(connection).collect()
    }
}
