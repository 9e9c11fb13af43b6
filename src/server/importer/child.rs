use crate::server::postgres::{Programs, RunAs};
use rustix::process::{Pid, Signal, kill_process_group};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// A program's output is kept up to this length, in bytes: the end of it.
const KEPT: usize = 64 << 10;

/// One of Postgres's programs, to be run for an import: with an environment of its own, in a
/// process group of its own, as the unprivileged user.
pub(super) fn program(programs: &Programs, run_as: Option<&RunAs>, name: &str, work: &Path) -> Command {
    let mut command = Command::new(programs.path(name));
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C") // messages that can be read by rule
        .env("HOME", work)
        .env("TMPDIR", work)
        .env("PGPASSFILE", "/dev/null")
        .env("PGSERVICEFILE", "/dev/null")
        .env("PGCONNECT_TIMEOUT", "15")
        .env("PGCLIENTENCODING", "UTF8")
        .current_dir(work)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if let Some(user) = run_as {
        command.uid(user.uid).gid(user.gid);
    }
    command
}

/// A running program. Dropping it ends its whole process group.
pub(super) struct Running {
    pub(super) child: Child,
    stderr: Option<JoinHandle<String>>,
    group: Option<Pid>,
    /// Words that must not be repeated.
    secrets: Vec<String>,
}

/// A program that is over.
#[derive(Debug)]
pub(super) struct Finished {
    /// Its exit code; none when a signal ended it.
    pub(super) code: Option<i32>,
    /// The end of what it said, without secrets.
    pub(super) stderr: String,
}

impl Finished {
    pub(super) fn is_success(&self) -> bool {
        self.code == Some(0)
    }
}

impl Running {
    pub(super) fn start(mut command: Command, secrets: &[&str]) -> anyhow::Result<Self> {
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().map(|pipe| tokio::spawn(end_of(pipe)));
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let secrets = secrets.iter().filter(|secret| !secret.is_empty()).map(|secret| (*secret).to_owned()).collect();
        Ok(Self { child, stderr, group, secrets })
    }

    pub(super) async fn finish(mut self) -> anyhow::Result<Finished> {
        let status = self.child.wait().await?;
        self.group = None;
        let mut said = match self.stderr.take() {
            Some(reader) => reader.await?,
            None => String::new(),
        };
        for secret in &self.secrets {
            said = said.replace(secret, "***");
        }
        Ok(Finished { code: status.code(), stderr: said })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL); // it may be over already
        }
    }
}

/// Reads a pipe to its end and keeps the end of it.
pub(super) async fn end_of(mut pipe: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut block = vec![0; 8 << 10];
    while let Ok(length @ 1..) = pipe.read(&mut block).await {
        kept.extend_from_slice(&block[..length]);
        if kept.len() > 2 * KEPT {
            kept.drain(..kept.len() - KEPT);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}
