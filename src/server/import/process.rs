//! Runs the Postgres programs of an import, and captures their standard error.

use crate::server::postgres::Tools;
use crate::util::process::kill_on_parent_death;
use rustix::process::{Pid, Signal, kill_process_group};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// Memory limit of a program, in bytes. A row can have a gigabyte and be held more than once; a
/// malicious source could make `pg_dump` use much more.
const MEMORY_LIMIT: u64 = 4 << 30;

/// How much of the end of a program's output is kept, in bytes.
const MAX_OUTPUT: usize = 64 << 10;

/// A command for one of the Postgres programs: with a clean environment, in a new process group, as the
/// unprivileged user.
pub(super) fn program(tools: &Tools, name: &str, work: &Path) -> Command {
    let mut command = Command::new(tools.programs.path(name));
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C") // messages are parsed
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
    if let Some(user) = &tools.run_as {
        command.uid(user.uid).gid(user.gid);
    }
    kill_on_parent_death(command.as_std_mut(), Signal::KILL, Some(MEMORY_LIMIT));
    command
}

/// A running program. Dropping it kills its whole process group.
pub(super) struct ChildProcess {
    pub(super) child: Child,
    stderr: Option<JoinHandle<String>>,
    group: Option<Pid>,
    /// Secrets to remove from its output.
    secrets: Vec<String>,
}

/// A program that has exited.
#[derive(Debug)]
pub(in crate::server) struct ExitedProcess {
    /// Its exit code; `None` if a signal killed it.
    pub(in crate::server) code: Option<i32>,
    /// The end of its standard error, without secrets.
    pub(in crate::server) stderr: String,
}

impl ExitedProcess {
    pub(super) fn is_success(&self) -> bool {
        self.code == Some(0)
    }
}

impl ChildProcess {
    pub(super) fn start(command: Command, secrets: &[&str]) -> anyhow::Result<Self> {
        Self::spawn_with_line_filter(command, secrets, |_| true)
    }

    /// Like [`Self::start`], but calls `keep` for every line of standard error: it returns whether to
    /// keep the line.
    pub(super) fn spawn_with_line_filter(
        mut command: Command,
        secrets: &[&str],
        keep: impl FnMut(&str) -> bool + Send + 'static,
    ) -> anyhow::Result<Self> {
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().map(|pipe| tokio::spawn(read_tail(pipe, keep)));
        if let Some(pid) = child.id() {
            // When memory runs out, Linux should kill the program with the untrusted input first.
            let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "800");
        }
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let secrets = secrets.iter().filter(|secret| !secret.is_empty()).map(|secret| (*secret).to_owned()).collect();
        Ok(Self { child, stderr, group, secrets })
    }

    pub(super) async fn finish(mut self) -> anyhow::Result<ExitedProcess> {
        let status = self.child.wait().await?;
        self.group = None;
        let mut stderr = match self.stderr.take() {
            Some(reader) => reader.await?,
            None => String::new(),
        };
        for secret in &self.secrets {
            stderr = stderr.replace(secret, "***");
        }
        Ok(ExitedProcess { code: status.code(), stderr })
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL); // it may have exited already
        }
    }
}

/// Reads a pipe to its end and returns the last of the lines that `keep` accepts. A line longer than
/// [`MAX_OUTPUT`] is passed on in pieces.
pub(super) async fn read_tail(pipe: impl AsyncRead + Unpin, mut keep: impl FnMut(&str) -> bool) -> String {
    let mut pipe = BufReader::new(pipe);
    let (mut kept, mut line) = (String::new(), Vec::new());
    while let Ok(1..) = (&mut pipe).take(MAX_OUTPUT as u64).read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line);
        if keep(text.trim_end()) {
            kept.push_str(&text);
        }
        line.clear();
        if kept.len() > 2 * MAX_OUTPUT {
            let cut = kept.ceil_char_boundary(kept.len() - MAX_OUTPUT);
            kept.drain(..cut);
        }
    }
    kept
}
