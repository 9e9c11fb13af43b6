//! `capydb import`: inspects the source, uploads a dump where needed, starts the job.

use super::args::{ImportOptions, UploadArgs};
use super::context::Context;
use super::dump::Target;
use super::output::progress::{Activity, ByteProgress};
use super::output::report;
use super::prompt::{ask, confirm_recreate, is_interactive};
use super::signals::interrupted;
use super::source::{self, SourceArg};
use super::{CliError, ErrorKind, dump, jobs, via_dump};
use crate::cli::output::report::label;
use crate::client::{Api, UploadEvent, UploadOptions, UploadSource, Uploaded, upload};
use crate::dump::{Contents, DumpFile, detect};
use crate::preflight::{KNOWN_ENCODING, REPLICATION, SOURCE_ENCODING, TargetFacts};
use crate::source::SourceUrl;
use crate::util::byte_counter::ByteCounter;
use crate::util::format::bytes;
use crate::wire::{CheckStatus, ImportRequest, Job, Project};
use serde_json::json;
use std::cell::Cell;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A source inspected as far as possible without the network.
enum InspectedSource {
    /// The control plane connects to the source.
    Url(SourceUrl),
    /// This machine connects to the source and uploads a dump.
    Here(SourceUrl),
    Dump(DumpFile, Box<Contents>),
}

/// The control plane and target project of an import.
struct Destination {
    api: Api,
    project: Project,
}

/// `capydb import`.
pub(super) async fn run(context: &Context<'_>, options: ImportOptions) -> Result<(), CliError> {
    let opened = open(context, &options).await?;
    let (destination, inspected) = match opened {
        // Check key and project before a source that takes long to read.
        OpenedSource::Copied(paths) => {
            let destination = destination(context, &options).await?;
            (destination, inspect_copy(context, &paths, &options).await?)
        }
        OpenedSource::Dump(dump) if dump.outer_compression.is_some() => {
            let destination = destination(context, &options).await?;
            (destination, inspected(context, &options, dump::unpacked(context, dump).await?).await?)
        }
        OpenedSource::Dump(dump) => {
            let inspected = inspected(context, &options, dump).await?;
            (destination(context, &options).await?, inspected)
        }
        OpenedSource::Url(url) => (destination(context, &options).await?, InspectedSource::Url(url)),
        OpenedSource::Here(url) => (destination(context, &options).await?, InspectedSource::Here(url)),
    };
    let Destination { api, project } = destination;
    require_source_encoding(&options, &project)?;
    if let InspectedSource::Url(url) = &inspected {
        source::require_authorities_known(url, &project)?;
    }
    let confirm = async {
        let next = options.recreate && !options.yes && is_interactive();
        if next { confirm_recreate(context.output, label(&project)).await } else { Ok(()) }
    };
    let mut request = ImportRequest {
        confirm: true,
        recreate: options.recreate,
        source_url: None,
        upload_key: None,
        source_encoding: None,
        allow_empty: options.allow_empty,
        source_ca: None,
    };
    let dump = match inspected {
        InspectedSource::Url(url) => {
            check_source(context, &api, &project, &url, &options).await?;
            confirm.await?;
            request.source_url = Some(url.expose().to_owned());
            request.source_ca = url.authorities().map(str::to_owned);
            None
        }
        InspectedSource::Here(url) => Some(dump_locally(context, &api, &project, &options, &url, confirm).await?),
        InspectedSource::Dump(dump, found) => {
            dump::check(context, &api, &dump, &found, &project, &options).await?;
            confirm.await?;
            Some(dump)
        }
    };
    let mut journal = None;
    if let Some(dump) = dump {
        let uploaded = send(context, &api, &project, &dump, &options.upload).await?;
        request.upload_key = Some(uploaded.key);
        request.source_encoding = dump.source_encoding.as_ref().map(ToString::to_string);
        journal = uploaded.journal;
    }
    // The journal is kept for now: if the start fails, the same command reuses the upload.
    let job = start(context, &api, &project, &request).await?;
    // In a script, a command that begins to wait would change what the next one sees.
    let waits = options.wait || options.wait_timeout.is_some() || (!options.detach && is_interactive());
    if !waits {
        context.output.result(&report::started(&job, &project), || json!({ "job": job }));
        return Ok(());
    }
    context.output.note(&format!("Import job {}", job.id));
    let job = jobs::watch_to_end(context, &api, &job.id, options.wait_timeout).await?;
    if let Some(journal) = journal {
        journal.remove(); // the upload has been imported
    }
    context.output.result(&report::ended(&job, Some(&project)), || json!({ "job": job }));
    Ok(())
}

/// Fails if the control plane would ignore `--source-encoding`.
fn require_source_encoding(options: &ImportOptions, project: &Project) -> Result<(), CliError> {
    let supported = project.import_features.iter().any(|feature| feature == SOURCE_ENCODING);
    if options.source.source_encoding.is_none() || supported {
        return Ok(());
    }
    Err(CliError::new(ErrorKind::Conflict, "the control plane does not support --source-encoding")
        .hint("convert plain SQL to UTF-8 first, for example with: iconv -f WIN1252 -t UTF-8 app.sql"))
}

/// Fails early if one of several files is not plain SQL.
fn check_joinable(paths: &[PathBuf]) -> Result<(), CliError> {
    let files = paths.iter().filter(|path| *path != Path::new("-"));
    let dumps = files.map(|path| detect::open(path)).collect::<Result<Vec<_>, _>>()?;
    if paths.len() > 1 { dump::check_joinable(&dumps) } else { Ok(()) }
}

/// Resolves the target project; an unfinished import in it is a conflict.
async fn destination(context: &Context<'_>, options: &ImportOptions) -> Result<Destination, CliError> {
    let api = context.api()?;
    let project = context.project(&api, options.project.as_deref()).await?;
    if let Some(job) = Api::unfinished_import(&api.jobs(&project.id, 25).await?) {
        return Err(CliError::new(
            ErrorKind::Conflict,
            format!("an import of project {} is already running", label(&project)),
        )
        .hint(format!("wait for the import with: capydb jobs wait {}", job.id)));
    }
    Ok(Destination { api, project })
}

/// The source as given, opened as far as possible without delay.
enum OpenedSource {
    /// Standard input, or several files.
    Copied(Vec<PathBuf>),
    Dump(DumpFile),
    Url(SourceUrl),
    Here(SourceUrl),
}

async fn open(context: &Context<'_>, options: &ImportOptions) -> Result<OpenedSource, CliError> {
    let text = match source::given(&options.source)? {
        // What takes long to open is opened later.
        SourceArg::Files(_) if options.via_dump => {
            return Err(CliError::new(ErrorKind::Usage, "--via-dump is for a live source, not for a dump"));
        }
        SourceArg::Files(paths) if paths.len() > 1 || paths.iter().any(|path| path == Path::new("-")) => {
            check_joinable(&paths)?;
            return Ok(OpenedSource::Copied(paths));
        }
        SourceArg::Files(paths) => return Ok(OpenedSource::Dump(dump::open(context, &paths, &options.source).await?)),
        SourceArg::Url(text) => text,
    };
    if options.source.source_encoding.is_some() && !options.via_dump {
        return Err(CliError::new(ErrorKind::Usage, "--source-encoding requires --file or --via-dump"));
    }
    if options.via_dump {
        return Ok(OpenedSource::Here(source::resolve_local(&text, &options.source, context.output)?));
    }
    let url = source::resolve(&text, &options.source, context.output)?;
    let Err(why) = source::check_reachable(context, &url).await else { return Ok(OpenedSource::Url(url)) };
    if is_interactive() {
        let question = format!(
            "The control plane cannot reach this source: {why}.\nDump it on this machine and upload the dump? [Y/n] "
        );
        if ["", "y", "yes"].contains(&ask(context.output, &question).await?.to_ascii_lowercase().as_str()) {
            return Ok(OpenedSource::Here(source::resolve_local(&text, &options.source, context.output)?));
        }
    }
    Err(source::unreachable_error(&why, &url))
}

async fn inspect_copy(
    context: &Context<'_>,
    paths: &[PathBuf],
    options: &ImportOptions,
) -> Result<InspectedSource, CliError> {
    let dump = dump::open(context, paths, &options.source).await?;
    inspected(context, options, dump::unpacked(context, dump).await?).await
}

/// Reads a dump, and fails on errors that do not depend on the target.
async fn inspected(
    context: &Context<'_>,
    options: &ImportOptions,
    dump: DumpFile,
) -> Result<InspectedSource, CliError> {
    let found = dump::inspect(context, &dump).await?;
    dump::check_itself(context, &dump, &found, options)?;
    Ok(InspectedSource::Dump(dump, Box::new(found)))
}

/// Inspects the source from this machine, asks for confirmation, and dumps it.
async fn dump_locally(
    context: &Context<'_>,
    api: &Api,
    project: &Project,
    options: &ImportOptions,
    url: &SourceUrl,
    confirm: impl Future<Output = Result<(), CliError>>,
) -> Result<DumpFile, CliError> {
    let limits = Target::for_project(project, options.recreate).limits;
    let target = TargetFacts { recreate: Some(options.recreate), from_dump: true, ..TargetFacts::default() };
    let mut report = via_dump::inspect(context, url, &limits, &target).await?;
    // Logical replication does not matter for a dump.
    report.checks.retain(|check| check.name != REPLICATION);
    // With a named encoding, the dump's text is converted.
    if options.source.source_encoding.is_some() {
        report.checks.retain(|check| check.name != KNOWN_ENCODING);
        report.ok = report.checks.iter().all(|check| check.status != CheckStatus::Fail);
    }
    dump::require_passed(context, &report)?;
    let tool = via_dump::choose(context, &report.source.server_version, &limits.target_version)?;
    confirm.await?;
    let dump =
        via_dump::dump(context, url, &tool, report.source.database_size_bytes, options.source.source_ca.as_deref())
            .await?;
    let dump = dump.with_source_encoding(options.source.source_encoding.clone());
    let found = dump::inspect(context, &dump).await?;
    dump::check(context, api, &dump, &found, project, options).await?;
    Ok(dump)
}

/// Runs the preflight on the control plane; a failed check is an error, warnings are shown.
async fn check_source(
    context: &Context<'_>,
    api: &Api,
    project: &Project,
    url: &SourceUrl,
    options: &ImportOptions,
) -> Result<(), CliError> {
    context.output.note("Checking the source …");
    let request = source::preflight_request(url, project, Some(options.recreate), options.allow_empty);
    let found = api.preflight(&project.id, &request).await;
    let mut found = found.map_err(|error| source::preflight_error(error, url))?;
    // Logical replication does not matter for an import.
    found.checks.retain(|check| check.name != REPLICATION);
    dump::require_passed(context, &found)?;
    let (size, version) = (found.source.database_size_bytes, &found.source.server_version);
    let about = format!("Preflight passed: Postgres {version}, {}", bytes(size));
    context.output.note(&crate::util::format::printable(&about, 200));
    Ok(())
}

/// Uploads the dump.
async fn send(
    context: &Context<'_>,
    api: &Api,
    project: &Project,
    dump: &DumpFile,
    args: &UploadArgs,
) -> Result<Uploaded, CliError> {
    let options = UploadOptions {
        stall_timeout: args.stall_timeout,
        limit_rate: args.limit_rate,
        concurrency: args.upload_concurrency.into(),
        resume: !args.no_resume,
    };
    let sending = UploadSource { file: &dump.file, identity: dump.identity, origin: dump.origin.as_ref() };
    let progress = ByteCounter::default();
    let meter = ByteProgress::start(context.output, Activity::Uploading, Some(dump.size), progress.clone());
    let resumable = Cell::new(false);
    let on_event = |event| match event {
        UploadEvent::Resumable => resumable.set(true),
        UploadEvent::Retry { attempt, of, wait, why } => {
            let seconds = (wait + Duration::from_millis(500)).as_secs();
            meter.suspend(|| context.output.warn(&format!("attempt {attempt} of {of}, waiting {seconds} s: {why}")));
        }
        UploadEvent::Resumed(there) => {
            meter.resume_from(there);
            let (there, size) = (bytes(there), bytes(dump.size));
            meter.suspend(|| context.output.note(&format!("Resuming upload: {there} of {size} done")));
        }
        UploadEvent::AlreadyUploaded => {
            meter.resume_from(dump.size);
            meter.suspend(|| context.output.note("The dump was already uploaded by an earlier run"));
        }
        UploadEvent::Restarted(why) => {
            meter.suspend(|| context.output.note(&format!("Cannot resume the earlier upload: {why}")));
        }
    };
    let uploading = upload(api, &project.id, &sending, &options, &progress, &on_event);
    let sent = tokio::select! {
        sent = uploading => sent.map_err(|error| (error.is_transient(), CliError::from(error))),
        () = interrupted() => {
            Err((true, CliError::new(ErrorKind::Interrupted, "the upload was stopped; nothing was imported")))
        }
    };
    match sent {
        Ok(uploaded) => {
            meter.finish();
            Ok(uploaded)
        }
        Err((may_pass, failure)) => {
            meter.abort();
            let goes_on = resumable.get() && may_pass;
            Err(if goes_on { failure.hint("run the same command again to resume the upload") } else { failure })
        }
    }
}

async fn start(context: &Context<'_>, api: &Api, project: &Project, request: &ImportRequest) -> Result<Job, CliError> {
    let known = api.jobs(&project.id, 25).await?;
    let unknown = "could not confirm that the import started; check with: capydb jobs list";
    let starting = tokio::select! {
        starting = api.start_import(&project.id, request, &known) => starting,
        () = interrupted() => return Err(CliError::new(ErrorKind::Interrupted, "interrupted").hint(unknown)),
    };
    let started = starting.map_err(|error| {
        let transient = error.is_transient();
        let failure = CliError::from(error);
        if transient { failure.hint(unknown) } else { failure }
    })?;
    if started.recovered {
        context.output.warn("the response to the start request was lost; the job was found in the project's job list");
    }
    Ok(started.job)
}
