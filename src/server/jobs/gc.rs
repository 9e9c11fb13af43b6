//! Garbage collection: removes what crashes and abandoned uploads leave behind.

use super::work_dirs::WorkDirs;
use crate::server::{Core, import};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Pause between two rounds.
const INTERVAL: Duration = Duration::from_mins(10);
/// The same while a cleanup is known to be incomplete, for instance because of a full disk.
const DELAY_AFTER_REQUEST: Duration = Duration::from_secs(5);
/// Pause between two checks for a requested cleanup.
const POLL: Duration = Duration::from_secs(1);

/// Maximum number of dumps removed in one round.
const UPLOADS_PER_ROUND: i64 = 100;

/// Cleans up periodically until `stop`.
pub(in crate::server) async fn run(core: Arc<Core>, work_dirs: Arc<WorkDirs>, stop: CancellationToken) {
    loop {
        // Requests from here on are for the next round.
        let was_requested = core.wakeups.take_cleanup_request();
        match clean_up(&core, &work_dirs.root).await {
            Ok(true) => {}
            Ok(false) if !was_requested => {}
            Ok(false) => core.wakeups.request_cleanup(),
            Err(error) => {
                tracing::error!("cleanup failed, retrying: {error:#}");
                core.wakeups.request_cleanup();
            }
        }
        let finished = Instant::now();
        let pause = || if core.wakeups.is_cleanup_requested() { DELAY_AFTER_REQUEST } else { INTERVAL };
        while finished.elapsed() < pause() {
            if stop.run_until_cancelled(tokio::time::sleep(POLL)).await.is_none() {
                return;
            }
        }
    }
}

/// One round. False when another process is already cleaning up what all processes share.
async fn clean_up(core: &Core, work_root: &Path) -> anyhow::Result<bool> {
    for directory in std::fs::read_dir(work_root)?.flatten() {
        let name = directory.file_name().to_string_lossy().into_owned();
        // Only work directories have such names.
        let Some(id) = WorkDirs::job_of(&name) else { continue };
        if core.store.job(id).await?.is_some_and(|job| job.state.is_final())
            && let Err(error) = tokio::fs::remove_dir_all(directory.path()).await
        {
            tracing::warn!("cannot remove the work directory {name} yet: {error}"); // or another process did
        }
    }
    core.store.run_exclusively(clean_up_shared(core)).await
}

/// Cleans up what all processes share: databases, metadata and uploads.
async fn clean_up_shared(core: &Core) -> anyhow::Result<()> {
    // An unreachable target must not block the other cleanups.
    let databases = import::drop_orphans(&core.target, &core.store).await;
    core.store.delete_old_deliveries().await?;
    core.store.delete_old_logins().await?;
    for key in core.store.abandoned_uploads(UPLOADS_PER_ROUND).await? {
        // After a storage error, the next regular round retries.
        if let Err(error) = remove_abandoned(core, &key).await {
            tracing::error!("cannot remove the abandoned dump {key} yet: {error:#}");
        }
    }
    core.objects.remove_orphans(&core.store.upload_keys().await?)?;
    databases
}

async fn remove_abandoned(core: &Core, key: &str) -> anyhow::Result<()> {
    let _lock = core.objects.lock_exclusively(key).await;
    // The upload may have been resumed in the meantime.
    if let Some(upload) = core.store.discard_abandoned(key).await? {
        core.objects.remove(&upload).await?;
        core.store.remove_upload(key).await?;
    }
    Ok(())
}

/// Removes a dump that is no longer needed.
pub(in crate::server) async fn remove_upload(core: &Core, key: &str) -> anyhow::Result<()> {
    let _lock = core.objects.lock_exclusively(key).await;
    if let Some(upload) = core.store.upload(key).await? {
        core.objects.remove(&upload).await?;
    }
    core.store.remove_upload(key).await
}
