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

/// How many other ports are tried when one is taken.
const MOST_PORTS: u32 = 4;

/// What a private cluster is made from.
pub struct ClusterOptions<'a> {
    /// Its programs.
    pub programs: &'a Programs,
    /// The folder that holds it; made when missing.
    pub folder: &'a Path,
    /// The superuser's password; counts when the cluster is made.
    pub password: &'a str,
    /// The port of last time, taken again when it is free.
    pub port: Option<u16>,
    /// The user to run as.
    pub run_as: Option<&'a RunAs>,
    /// Whether a crash of the machine must lose nothing.
    pub durable: bool,
}

/// A running private cluster: loopback only, passwords required.
pub struct Cluster {
    child: Child,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Cluster {
    /// Makes the cluster when there is none, starts it, and waits until it answers.
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
                StartFailure::PortTaken if ports < MOST_PORTS => ports += 1,
                StartFailure::OldSessions if started.elapsed() < STOP_TIMEOUT => {}
                _ => return Err(error),
            }
            // The sessions of a server that was killed end by themselves, but not at once.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Its superuser.
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
                    "the private Postgres did not start; the end of its log:\n{}",
                    crate::util::format::tail(&log, 1500)
                );
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Stops the server; sessions are ended (Postgres: "fast shutdown").
    pub fn stop(mut self) -> anyhow::Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT)?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > STOP_TIMEOUT {
                kill_process(pid, Signal::QUIT)?; // it recovers at the next start
                self.child.wait()?;
                bail!("the private Postgres did not stop in time and was ended; it will recover at the next start");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Whether the server still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Cluster {
    /// For a start that was given up half-way: nothing may stay behind.
    fn drop(&mut self) {
        if self.is_running() {
            let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
            let _ = self.child.wait(); // so that its folder can be removed
        }
    }
}

/// Why a server did not start, where another attempt may succeed.
enum StartFailure {
    /// Another process has the port.
    PortTaken,
    /// Sessions of a server that was killed still hold its shared memory.
    OldSessions,
    Other,
}

impl StartFailure {
    /// Postgres exits with the same code for all of them: only its log tells them apart. The server
    /// runs with `LC_ALL=C`, so the messages are the English ones.
    fn read(log: &Path) -> Self {
        let log = fs::read_to_string(log).unwrap_or_default();
        if log.contains("could not bind") {
            return Self::PortTaken;
        }
        if log.contains("is still in use") { Self::OldSessions } else { Self::Other }
    }
}

/// A command that runs as the right user, away from our terminal and environment.
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
    // A folder that initdb was killed in is made anew, so it gets the right name at the end.
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
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("initdb failed: {}", crate::util::format::tail(&said, 1000));
    }
    fs::rename(&half, data).context("name the new cluster")
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
    // An import of 20,000 tables in one transaction holds a lock on every object.
    set("max_locks_per_transaction=512");
    // Applications cannot take the places of those who look after them.
    set("max_connections=300");
    set("superuser_reserved_connections=20");
    // Nothing replicates from here; tables that are made and filled in one transaction then
    // need no write-ahead log.
    set("wal_level=minimal");
    set("max_wal_senders=0");
    set("max_wal_size=4GB");
    set("checkpoint_timeout=15min");
    if !options.durable {
        set("fsync=off");
        set("full_page_writes=off");
        set("synchronous_commit=off");
    }
    // A fast shutdown: nothing is lost, and nothing is left when we are killed.
    kill_on_parent_death(&mut command, Signal::INT, None);
    command.stdout(log.try_clone()?).stderr(log);
    command.spawn().context("start the private Postgres")
}

/// After a `kill -9` of the control plane its Postgres may still run: it is ours to end.
fn stop_leftover(data: &Path) -> anyhow::Result<()> {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else { return Ok(()) };
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
    let same_folder = lines.next().is_some_and(|line| Path::new(line.trim()) == data);
    let Some(pid) = pid.filter(|pid| same_folder && test_kill_process(*pid).is_ok()) else { return Ok(()) };
    if !is_postgres(pid) {
        return Ok(()); // the number was given to another process after a reboot
    }
    kill_process(pid, Signal::INT)?;
    let asked = Instant::now();
    while test_kill_process(pid).is_ok() && is_postgres(pid) {
        if asked.elapsed() > STOP_TIMEOUT {
            bail!("a Postgres of an earlier run (process {}) does not stop", pid.as_raw_nonzero());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn is_postgres(pid: Pid) -> bool {
    let name = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()));
    // Where there is no /proc, the folder in the file must do.
    name.map_or(!Path::new("/proc/self").exists(), |name| name.trim() == "postgres")
}

fn check_major(programs: &Programs, data: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(data.join("PG_VERSION"))?;
    if text.trim() != programs.version.0.to_string() {
        bail!(
            "{} was made by Postgres {}, but the programs in {} are {}; name the older ones with --postgres-bin, or start with another --data-dir",
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
