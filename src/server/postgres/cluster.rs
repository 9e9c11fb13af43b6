//! A private Postgres cluster: creates, starts and stops it.

use super::os_user::private_file;
use super::{Endpoint, Programs, RunAs};
use crate::util::process::kill_on_parent_death;
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The superuser of a private cluster.
pub(super) const ADMIN: &str = "capydb";

/// How long the server may take to start, recovery after a crash included.
const START_TIMEOUT: Duration = Duration::from_mins(2);
/// How long the server may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// How many other ports are tried if a port is in use.
const MAX_PORT_ATTEMPTS: u32 = 4;

/// Options of a private cluster.
pub struct ClusterOptions<'a> {
    /// The Postgres programs.
    pub programs: &'a Programs,
    /// Directory of the cluster; created if missing.
    pub folder: &'a Path,
    /// Password of the superuser, set when the cluster is created.
    pub password: &'a str,
    /// The previous port, reused if it is free.
    pub port: Option<u16>,
    /// The user to run as.
    pub run_as: Option<&'a RunAs>,
    /// Whether the data must survive a crash of the machine.
    pub durable: bool,
}

/// A running private cluster, which accepts only loopback connections with a password.
pub struct Cluster {
    child: Child,
    /// Port on 127.0.0.1.
    pub port: u16,
}

impl Cluster {
    /// Creates the cluster if missing, starts it, and waits until it accepts connections.
    pub async fn start(options: &ClusterOptions<'_>) -> anyhow::Result<Self> {
        let data = options.folder.join("data");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(options.folder)?;
        if let Some(user) = options.run_as {
            user.own(options.folder)?;
            user.check_reachable(options.folder)?;
            user.check_reachable(options.programs.bin())?;
        }
        if !data.join("PG_VERSION").is_file() {
            init(options, &data)?;
        }
        check_major(options.programs, &data)?;
        stop_leftover(&data)?;
        let (started, mut ports) = (Instant::now(), 0);
        loop {
            let port = match options.port {
                Some(port) if ports == 0 && TcpListener::bind(("127.0.0.1", port)).is_ok() => port,
                _ => free_port()?,
            };
            let mut cluster = Self { child: spawn(options, &data, port)?, port };
            let Err(error) = cluster.wait_until_ready(options).await else { return Ok(cluster) };
            match StartFailure::read(&options.folder.join("log")) {
                StartFailure::PortTaken if ports < MAX_PORT_ATTEMPTS => ports += 1,
                StartFailure::OldSessions if started.elapsed() < STOP_TIMEOUT => {}
                _ => return Err(error),
            }
            // The sessions of a killed server end by themselves, with a delay.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Endpoint of the superuser.
    pub fn admin(&self, password: &str) -> anyhow::Result<Endpoint> {
        Endpoint::here(self.port, ADMIN, password)
    }

    async fn wait_until_ready(&mut self, options: &ClusterOptions<'_>) -> anyhow::Result<()> {
        let started = Instant::now();
        let endpoint = self.admin(options.password)?;
        loop {
            if endpoint.connect().await.is_ok() {
                return Ok(());
            }
            let gone = self.child.try_wait()?.is_some();
            if gone || started.elapsed() > START_TIMEOUT {
                let log = fs::read_to_string(options.folder.join("log")).unwrap_or_default();
                bail!(
                    "the private Postgres failed to start; last lines of its log:\n{}",
                    crate::util::format::tail(&log, 1500)
                );
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Stops the server and terminates its sessions (Postgres: "fast shutdown").
    pub fn stop(mut self) -> anyhow::Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT)?;
        let requested = Instant::now();
        while self.child.try_wait()?.is_none() {
            if requested.elapsed() > STOP_TIMEOUT {
                kill_process(pid, Signal::QUIT)?; // immediate shutdown, with recovery at the next start
                self.child.wait()?;
                bail!("the private Postgres did not stop in time and was killed; it will recover at the next start");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Whether the server is running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Cluster {
    /// After an aborted start, no server may be left running.
    fn drop(&mut self) {
        if self.is_running() {
            let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
            let _ = self.child.wait(); // so that its directory can be removed
        }
    }
}

/// Why a server did not start, where another attempt may succeed.
enum StartFailure {
    /// Another process is using the port.
    PortTaken,
    /// Sessions of a killed server still hold its shared memory.
    OldSessions,
    Other,
}

impl StartFailure {
    /// Reads the cause from the log, because the exit code is the same for all. The messages are English,
    /// because the server runs with `LC_ALL=C`.
    fn read(log: &Path) -> Self {
        let log = fs::read_to_string(log).unwrap_or_default();
        if log.contains("could not bind") {
            return Self::PortTaken;
        }
        if log.contains("is still in use") { Self::OldSessions } else { Self::Other }
    }
}

/// A command that runs as the configured user, without our terminal and environment.
fn command(options: &ClusterOptions<'_>, program: &str) -> Command {
    let mut command = Command::new(options.programs.path(program));
    command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").env("HOME", options.folder);
    command.current_dir(options.folder).stdin(Stdio::null()).process_group(0);
    for name in ["TZ", "TZDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    if let Some(user) = options.run_as {
        command.uid(user.uid).gid(user.gid);
    }
    command
}

fn init(options: &ClusterOptions<'_>, data: &Path) -> anyhow::Result<()> {
    // Renamed only when complete, so that an interrupted initdb starts over.
    let half = options.folder.join("data.new");
    if half.exists() {
        fs::remove_dir_all(&half)?;
    }
    let password_file = options.folder.join("password");
    private_file(&password_file, options.run_as)?.write_all(options.password.as_bytes())?;
    let run = |locale: &str| {
        let mut command = command(options, "initdb");
        command.arg("-D").arg(&half).arg("--pwfile").arg(&password_file);
        command.args(["-U", ADMIN, "-E", "UTF8", "--auth=scram-sha-256", &format!("--locale={locale}")]);
        if !options.durable {
            command.arg("--no-sync");
        }
        command.output()
    };
    let mut output = run("C.UTF-8")?;
    if !output.status.success() {
        let _ = fs::remove_dir_all(&half);
        output = run("C")?; // a system without C.UTF-8
    }
    fs::remove_file(&password_file)?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("initdb failed: {}", crate::util::format::tail(&stderr, 1000));
    }
    fs::rename(&half, data).context("cannot rename the new cluster")
}

fn spawn(options: &ClusterOptions<'_>, data: &Path, port: u16) -> anyhow::Result<Child> {
    let log = private_file(&options.folder.join("log"), options.run_as)?;
    let mut command = command(options, "postgres");
    command.arg("-D").arg(data).args(["-p", &port.to_string()]);
    let mut set = |setting: &str| {
        command.args(["-c", setting]);
    };
    set("listen_addresses=127.0.0.1");
    set("unix_socket_directories=");
    // An import of 20,000 tables in one transaction locks every object.
    set("max_locks_per_transaction=512");
    // Reserved for the administrator, whatever applications use.
    set("max_connections=300");
    set("superuser_reserved_connections=20");
    // Without replication, tables created and loaded in one transaction need no write-ahead log.
    set("wal_level=minimal");
    set("max_wal_senders=0");
    set("max_wal_size=4GB");
    set("checkpoint_timeout=15min");
    if !options.durable {
        set("fsync=off");
        set("full_page_writes=off");
        set("synchronous_commit=off");
    }
    // When we are killed, the server does a fast shutdown and loses no data.
    kill_on_parent_death(&mut command, Signal::INT, None);
    command.stdout(log.try_clone()?).stderr(log);
    command.spawn().context("cannot start the private Postgres")
}

/// Stops the Postgres of an earlier run, which may still be running after a `kill -9` of the control
/// plane.
fn stop_leftover(data: &Path) -> anyhow::Result<()> {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else { return Ok(()) };
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
    let same_folder = lines.next().is_some_and(|line| Path::new(line.trim()) == data);
    let Some(pid) = pid.filter(|pid| same_folder && test_kill_process(*pid).is_ok()) else { return Ok(()) };
    if !is_postgres(pid) {
        return Ok(()); // the process id now belongs to another process
    }
    kill_process(pid, Signal::INT)?;
    let requested = Instant::now();
    while test_kill_process(pid).is_ok() && is_postgres(pid) {
        if requested.elapsed() > STOP_TIMEOUT {
            bail!(
                "the Postgres of an earlier run (process {}) does not stop; stop it and try again",
                pid.as_raw_nonzero()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn is_postgres(pid: Pid) -> bool {
    let name = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()));
    // Without /proc, the matching directory in the file must suffice.
    name.map_or(!Path::new("/proc/self").exists(), |name| name.trim() == "postgres")
}

fn check_major(programs: &Programs, data: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(data.join("PG_VERSION"))?;
    if text.trim() != programs.version.0.to_string() {
        bail!(
            "{} was created by Postgres {}, but the programs in {} are {}; \
             choose matching ones with --postgres-bin, or another --data-dir",
            data.display(),
            text.trim(),
            programs.bin().display(),
            programs.version.0
        );
    }
    Ok(())
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
