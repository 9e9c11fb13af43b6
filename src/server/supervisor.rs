//! Starts and stops the tasks of a process.

use super::Core;
use super::api::{self, ApiState};
use super::jobs::{gc, work_dirs::WorkDirs, worker};
use super::outbound::{integrations, webhooks};
use crate::wire::PROJECT_CREATE;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a shutdown waits for running tasks.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);
/// Pause between two cleanups of the rate limits of idle callers.
const IDLE_CLEANUP_INTERVAL: Duration = Duration::from_mins(10);

/// The tasks of one process.
#[derive(Debug, Default)]
pub(super) struct TaskSet {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl TaskSet {
    fn start<T: Future<Output = ()> + Send + 'static>(&mut self, part: impl FnOnce(CancellationToken) -> T) {
        self.tasks.push(tokio::spawn(part(self.stop.clone())));
    }

    /// Serves the API.
    pub(super) fn serve_api(&mut self, state: Arc<ApiState>, listener: TcpListener) {
        let router = api::router(state.clone());
        self.start(|stop| api::serve(listener, router, stop));
        self.start(|stop| async move {
            while stop.run_until_cancelled(tokio::time::sleep(IDLE_CLEANUP_INTERVAL)).await.is_some() {
                state.admission.rate.drop_idle();
            }
        });
    }

    /// Serves health checks and metrics only.
    pub(super) fn serve_health(&mut self, state: Arc<ApiState>, listener: TcpListener) {
        let router = api::health_router(state);
        self.start(|stop| api::serve(listener, router, stop));
    }

    /// Runs up to `concurrent_jobs` jobs at once, and delivers the messages of the outbox.
    pub(super) fn start_workers(&mut self, core: &Arc<Core>, work_dirs: WorkDirs, concurrent_jobs: usize) {
        let work_dirs = Arc::new(work_dirs);
        let name = |number: usize| format!("{}-{}-{number}", host_name(), std::process::id());
        for number in 1..=concurrent_jobs {
            self.start(|stop| worker::run(core.clone(), work_dirs.clone(), stop, name(number), None));
        }
        // Creating a project must not wait for imports of other projects.
        self.start(|stop| worker::run(core.clone(), work_dirs.clone(), stop, name(0), Some(PROJECT_CREATE)));
        self.start(|stop| gc::run(core.clone(), work_dirs.clone(), stop));
        self.start(|stop| webhooks::run(core.clone(), stop));
        self.start(|stop| integrations::run(core.clone(), stop));
    }

    /// Stops everything: no new work starts, and running imports are released.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let all = futures_util::future::join_all(self.tasks);
        let _ = tokio::time::timeout(STOP_TIMEOUT, all).await; // sessions end with the process
    }
}

/// The machine's host name, for `claimed_by`.
fn host_name() -> String {
    crate::util::format::printable(&rustix::system::uname().nodename().to_string_lossy(), 60)
}

/// Creates a directory that the programs of imports can use.
pub(super) fn create_work_dir(path: &Path, run_as: Option<&super::postgres::RunAs>) -> anyhow::Result<()> {
    use anyhow::Context;
    use std::os::unix::fs::DirBuilderExt;
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.with_context(|| format!("cannot create the directory {}", path.display()))?;
    Ok(run_as.map_or(Ok(()), |user| user.own(path))?)
}
