use super::args::ImportOptions;
use super::confirm::{confirm_recreate, person_is_there};
use super::context::{Context, label};
use super::output::meter::Meter;
use super::output::report;
use super::{Failure, Kind, jobs, preflight, source};
use crate::client::{Api, Progress, Upload, upload};
use crate::dump::{DumpFile, DumpFormat, detect};
use crate::preflight::bytes;
use crate::source::SourceUrl;
use crate::wire::{CheckStatus, ImportRequest, Job, PreflightRequest, Project};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// How often an upload is tried, each time with a fresh slot.
const UPLOAD_TRIES: u32 = 4;

/// A source that was looked at as far as this machine can.
enum Looked {
    Url(SourceUrl),
    Dump(DumpFile),
}

/// `capydb import`.
pub(super) async fn run(context: &Context<'_>, options: ImportOptions) -> Result<(), Failure> {
    let looked = look(context, &options)?;
    let api = context.api()?;
    let project = context.project(&api, options.project.as_deref()).await?;
    if let Some(job) = Api::unfinished_import(&api.jobs(&project.id, 25).await?) {
        return Err(Failure::new(
            Kind::Conflict,
            format!("an import of project {} is running already", label(&project)),
        )
        .hint(format!("wait for it with: capydb jobs wait {}", job.id)));
    }
    match &looked {
        Looked::Url(url) => check_source(context, &api, &project, url).await?,
        Looked::Dump(dump) => check_size(&project, dump)?,
    }
    if options.recreate && !options.yes && person_is_there() {
        confirm_recreate(context.output, label(&project), &project.database_name)?;
    }
    let mut request = ImportRequest { confirm: true, recreate: options.recreate, source_url: None, upload_key: None };
    match &looked {
        Looked::Url(url) => request.source_url = Some(url.expose().to_owned()),
        Looked::Dump(dump) => request.upload_key = Some(send(context, &api, &project, dump).await?),
    }
    let job = start(context, &api, &project, &request).await?;
    if !options.wait {
        context.output.result(&report::started(&job, &project), || json!({ "job": job }));
        return Ok(());
    }
    context.output.note(&format!("Import job {}", job.id));
    let job = jobs::follow(context, &api, &job.id, options.wait_timeout).await?;
    context.output.result(&report::ended(&job, Some(&project)), || json!({ "job": job }));
    Ok(())
}

/// Everything that can be said without the network.
fn look(context: &Context<'_>, options: &ImportOptions) -> Result<Looked, Failure> {
    if let Some(path) = &options.file {
        return Ok(Looked::Dump(open(context, path)?));
    }
    match source::given(options.source_url.clone())? {
        Some(text) => Ok(Looked::Url(source::resolve(&text, context.output)?)),
        None => Err(source::missing().hint("use --source-url URL or --file PATH, or set CAPYDB_SOURCE_URL")),
    }
}

fn open(context: &Context<'_>, path: &Path) -> Result<DumpFile, Failure> {
    let dump = detect::open(path)?;
    let first_word = |text: &str| crate::text::printable(text.split(' ').next().unwrap_or_default(), 20);
    let origin = match &dump.format {
        DumpFormat::Custom(header) => {
            let (server, tool) = (first_word(&header.server_version), first_word(&header.dump_version));
            format!(", of Postgres {server} by pg_dump {tool}")
        }
        DumpFormat::Plain => String::new(),
    };
    let (format, size) = (dump.format.name(), bytes(dump.size));
    context.output.note(&format!("Dump: {}, {format} format, {size}{origin}", path.display()));
    Ok(dump)
}

/// Has the control plane look at the source; stops on a failed check, shows warnings.
async fn check_source(context: &Context<'_>, api: &Api, project: &Project, url: &SourceUrl) -> Result<(), Failure> {
    context.output.note("Looking at the source …");
    let found = api.preflight(&project.id, &PreflightRequest { source_url: url.expose().to_owned() }).await?;
    if !found.ok {
        context.output.note(&report::preflight(&found));
        return Err(preflight::failed(&found));
    }
    for check in found.checks.iter().filter(|check| check.status == CheckStatus::Warn) {
        context.output.warn(&report::check(check));
    }
    let (size, version) = (found.source.database_size_bytes, &found.source.server_version);
    let about = format!("Preflight passed: Postgres {version}, {}", bytes(size));
    context.output.note(&crate::text::printable(&about, 200));
    Ok(())
}

/// A dump larger than the plan is refused by the service too, but only after it was asked.
fn check_size(project: &Project, dump: &DumpFile) -> Result<(), Failure> {
    let limit = project.storage_limit_bytes;
    if limit > 0 && dump.size > limit {
        let (size, limit) = (bytes(dump.size), bytes(limit));
        return Err(Failure::new(
            Kind::Conflict,
            format!("the dump has {size}, more than the {limit} of the project's plan"),
        )
        .hint("move the project to a larger plan, or leave tables out of the dump (pg_dump --exclude-table-data)"));
    }
    Ok(())
}

/// Uploads the dump and gives its object key.
async fn send(context: &Context<'_>, api: &Api, project: &Project, dump: &DumpFile) -> Result<String, Failure> {
    let mut tried = 1;
    loop {
        let slot = api.upload_slot(&project.id).await?;
        let progress = Progress::default();
        let meter = Meter::start(context.output, dump.size, progress.clone());
        let sending = upload(
            api.http(),
            Upload { file: &dump.file, size: dump.size, modified: dump.modified, url: &slot.upload_url },
            &progress,
        );
        let sent = tokio::select! {
            sent = sending => sent,
            _ = tokio::signal::ctrl_c() => {
                meter.give_up();
                return Err(Failure::new(Kind::Interrupted, "the upload was stopped; nothing was imported"));
            }
        };
        match sent {
            Ok(()) => {
                meter.finish();
                return Ok(slot.object_key);
            }
            Err(error) if error.is_transient() && tried < UPLOAD_TRIES => {
                meter.give_up();
                let wait = Duration::from_secs(1 << tried);
                tried += 1;
                context
                    .output
                    .warn(&format!("{error}; trying again in {} s ({tried} of {UPLOAD_TRIES})", wait.as_secs()));
                tokio::time::sleep(wait).await;
            }
            Err(error) => {
                meter.give_up();
                return Err(error.into());
            }
        }
    }
}

async fn start(context: &Context<'_>, api: &Api, project: &Project, request: &ImportRequest) -> Result<Job, Failure> {
    let known = api.jobs(&project.id, 25).await?;
    let unknown = "whether the import began is not known; see: capydb jobs list";
    let starting = tokio::select! {
        starting = api.start_import(&project.id, request, &known) => starting,
        _ = tokio::signal::ctrl_c() => return Err(Failure::new(Kind::Interrupted, "interrupted").hint(unknown)),
    };
    let started = starting.map_err(|error| {
        let transient = error.is_transient();
        let failure = Failure::from(error);
        if transient { failure.hint(unknown) } else { failure }
    })?;
    if started.recovered {
        context.output.warn("the answer to the start was lost; the job was found in the project's list");
    }
    Ok(started.job)
}
