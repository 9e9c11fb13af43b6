//! Taking away what crashes and people who gave up have left.

use super::worker::Workshop;
use super::{App, importer};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Pause between two rounds.
const PAUSE: Duration = Duration::from_mins(10);
/// The same while something is known to be left, by a full disk for instance.
const PAUSE_WHILE_UNTIDY: Duration = Duration::from_secs(5);
/// Pause between two looks whether something is left.
const LOOK: Duration = Duration::from_secs(1);

/// Dumps that are removed in one round.
const AT_A_TIME: i64 = 100;

/// Cleans now and then until it is told to stop.
pub(super) async fn run(app: Arc<App>, workshop: Arc<Workshop>, stop: CancellationToken) {
    loop {
        // What is left from here on is for the next round.
        let was_untidy = app.signals.take_untidy();
        match clean(&app, &workshop.folder).await {
            Ok(true) => {}
            Ok(false) if !was_untidy => {}
            Ok(false) => app.signals.set_untidy(),
            Err(error) => {
                tracing::error!("cleaning failed, and is tried again: {error:#}");
                app.signals.set_untidy();
            }
        }
        let cleaned = Instant::now();
        let pause = || if app.signals.is_untidy() { PAUSE_WHILE_UNTIDY } else { PAUSE };
        while cleaned.elapsed() < pause() {
            if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
                return;
            }
        }
    }
}

/// One round. False when another process is at what belongs to all.
async fn clean(app: &App, work: &Path) -> anyhow::Result<bool> {
    for folder in std::fs::read_dir(work)?.flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        // Whatever has another name is nothing of ours.
        let Some(id) = Workshop::job_of(&name) else { continue };
        if app.store.job(id).await?.is_some_and(|job| job.state.is_final())
            && let Err(error) = tokio::fs::remove_dir_all(folder.path()).await
        {
            tracing::warn!("{name} stays for now: {error}"); // or another process was quicker
        }
    }
    app.store.alone(clean_together(app)).await
}

/// What belongs to all processes.
async fn clean_together(app: &App) -> anyhow::Result<()> {
    // A target that is away keeps nobody from the rest.
    let swept = importer::sweep(&app.target, &app.store).await;
    app.store.forget_old_deliveries().await?;
    app.store.forget_old_logins().await?;
    for key in app.store.abandoned_uploads(AT_A_TIME).await? {
        // Storage that does not let us is asked again in the next ordinary round.
        if let Err(error) = remove_abandoned(app, &key).await {
            tracing::error!("the dump {key}, which nobody wants, stays for now: {error:#}");
        }
    }
    app.objects.sweep(&app.store.upload_keys().await?)?;
    swept
}

async fn remove_abandoned(app: &App, key: &str) -> anyhow::Result<()> {
    let _alone = app.objects.alone(key).await;
    // Somebody may have come back to it by now.
    if let Some(upload) = app.store.give_up_abandoned(key).await? {
        app.objects.remove(&upload).await?;
        app.store.remove_upload(key).await?;
    }
    Ok(())
}

/// Removes a dump that nobody needs any more.
pub(super) async fn remove_upload(app: &App, key: &str) -> anyhow::Result<()> {
    let _alone = app.objects.alone(key).await;
    if let Some(upload) = app.store.upload(key).await? {
        app.objects.remove(&upload).await?;
    }
    app.store.remove_upload(key).await
}
