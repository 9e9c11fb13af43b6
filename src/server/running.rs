//! The parts of a process, and their end.

use super::worker::{self, Workshop};
use super::{App, cleaning, http, integrations, webhooks};
use crate::wire::PROJECT_CREATE;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a stop waits for what is under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);
/// Pause between two rounds of forgetting who has called.
const FORGETTING: Duration = Duration::from_mins(10);

/// What a process does.
#[derive(Debug, Default)]
pub(super) struct Running {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    fn start<T: Future<Output = ()> + Send + 'static>(&mut self, part: impl FnOnce(CancellationToken) -> T) {
        self.tasks.push(tokio::spawn(part(self.stop.clone())));
    }

    /// Answers the API.
    pub(super) fn answer(&mut self, app: &Arc<App>, listener: TcpListener) {
        let api = http::router(app.clone());
        self.start(|stop| http::serve(listener, api, stop));
        let app = app.clone();
        self.start(|stop| async move {
            while stop.run_until_cancelled(tokio::time::sleep(FORGETTING)).await.is_some() {
                app.admission.rate.forget_the_idle();
            }
        });
    }

    /// Answers those who watch over the process, and nobody else.
    pub(super) fn answer_watchers(&mut self, app: &Arc<App>, listener: TcpListener) {
        let health = http::health_router(app.clone());
        self.start(|stop| http::serve(listener, health, stop));
    }

    /// Runs jobs, so many at a time, and tells others what has happened.
    pub(super) fn work(&mut self, app: &Arc<App>, workshop: Workshop, at_a_time: usize) {
        let workshop = Arc::new(workshop);
        let name = |number: usize| format!("{}-{}-{number}", host_name(), std::process::id());
        for number in 1..=at_a_time {
            self.start(|stop| worker::run(app.clone(), workshop.clone(), stop, name(number), None));
        }
        // Nobody should wait for a new project while somebody else's import runs.
        self.start(|stop| worker::run(app.clone(), workshop.clone(), stop, name(0), Some(PROJECT_CREATE)));
        self.start(|stop| cleaning::run(app.clone(), workshop.clone(), stop));
        self.start(|stop| webhooks::run(app.clone(), stop));
        self.start(|stop| integrations::run(app.clone(), stop));
    }

    /// Ends everything: no new work, running imports are handed back.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let all = futures_util::future::join_all(self.tasks);
        let _ = tokio::time::timeout(STOP_TIMEOUT, all).await; // sessions end with the process
    }
}

/// The machine's name, as `claimed_by` shows it.
fn host_name() -> String {
    crate::text::printable(&rustix::system::uname().nodename().to_string_lossy(), 60)
}

/// A folder that the programs of imports may use.
pub(super) fn make_work_folder(path: &Path, run_as: Option<&super::postgres::RunAs>) -> anyhow::Result<()> {
    use anyhow::Context;
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("make the folder {}", path.display()))?;
    Ok(run_as.map_or(Ok(()), |user| user.own(path))?)
}
