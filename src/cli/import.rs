use super::args::ImportOptions;
use super::confirm::{ask, confirm_recreate, person_is_there};
use super::context::{Context, label};
use super::dump::Target;
use super::output::meter::{Meter, Work};
use super::output::report;
use super::source::{self, Given};
use super::{Failure, Kind, dump, jobs, via_dump};
use crate::client::{Api, Progress, Upload, upload};
use crate::dump::{Contents, DumpFile};
use crate::preflight::bytes;
use crate::source::SourceUrl;
use crate::wire::{ImportRequest, Job, PreflightRequest, Project};
use serde_json::json;
use std::time::Duration;

/// How often an upload is tried, each time with a fresh slot.
const UPLOAD_TRIES: u32 = 4;

/// A source that was looked at as far as this machine can without the network.
enum Looked {
    /// The service dials it.
    Url(SourceUrl),
    /// This machine dials it and uploads a dump.
    Here(SourceUrl),
    Dump(DumpFile, Box<Contents>),
}

/// `capydb import`.
pub(super) async fn run(context: &Context<'_>, options: ImportOptions) -> Result<(), Failure> {
    let looked = look(context, &options).await?;
    let api = context.api()?;
    let project = context.project(&api, options.project.as_deref()).await?;
    if let Some(job) = Api::unfinished_import(&api.jobs(&project.id, 25).await?) {
        return Err(Failure::new(
            Kind::Conflict,
            format!("an import of project {} is running already", label(&project)),
        )
        .hint(format!("wait for it with: capydb jobs wait {}", job.id)));
    }
    let confirm = || {
        let asked = options.recreate && !options.yes && person_is_there();
        if asked { confirm_recreate(context.output, label(&project), &project.database_name) } else { Ok(()) }
    };
    let mut request = ImportRequest { confirm: true, recreate: options.recreate, source_url: None, upload_key: None };
    let dump = match looked {
        Looked::Url(url) => {
            check_source(context, &api, &project, &url).await?;
            confirm()?;
            request.source_url = Some(url.expose().to_owned());
            None
        }
        Looked::Here(url) => Some(dump_here(context, &project, &options, &url, confirm).await?),
        Looked::Dump(dump, found) => {
            dump::check(context, &dump, &found, &project, options.recreate)?;
            confirm()?;
            Some(dump)
        }
    };
    if let Some(dump) = dump {
        request.upload_key = Some(send(context, &api, &project, &dump).await?);
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

/// Everything that can be said without asking the service.
async fn look(context: &Context<'_>, options: &ImportOptions) -> Result<Looked, Failure> {
    let (text, no_rewrite) = match source::given(&options.source)? {
        Given::File(path) => {
            let dump = dump::unpacked(context, dump::open(context, &path).await?).await?;
            let found = dump::look(context, &dump).await?;
            dump::check_itself(context, &dump, &found)?;
            return Ok(Looked::Dump(dump, Box::new(found)));
        }
        Given::Url(text) => (text, options.source.no_rewrite),
    };
    if options.via_dump {
        return Ok(Looked::Here(source::resolve_here(&text, no_rewrite, context.output)?));
    }
    let url = source::resolve(&text, no_rewrite, context.output)?;
    let Err(why) = source::within_reach(context, &url).await else { return Ok(Looked::Url(url)) };
    if person_is_there() {
        let question = format!(
            "The service cannot reach this source: {why}.\nDump it on this machine and upload the dump? [Y/n] "
        );
        if ["", "y", "yes"].contains(&ask(context.output, &question)?.to_ascii_lowercase().as_str()) {
            return Ok(Looked::Here(source::resolve_here(&text, no_rewrite, context.output)?));
        }
    }
    Err(source::out_of_reach(&why, &url))
}

/// Looks at the source from this machine, asks, and dumps it.
async fn dump_here(
    context: &Context<'_>,
    project: &Project,
    options: &ImportOptions,
    url: &SourceUrl,
    confirm: impl FnOnce() -> Result<(), Failure>,
) -> Result<DumpFile, Failure> {
    let limits = Target::of(project, options.recreate).limits;
    let report = via_dump::look(context, url, &limits).await?;
    dump::settle(context, &report)?;
    let tool = via_dump::choose(context, &report.source.server_version, &limits.target_version)?;
    confirm()?;
    let dump = via_dump::dump(context, url, &tool, report.source.database_size_bytes).await?;
    let found = dump::look(context, &dump).await?;
    dump::check(context, &dump, &found, project, options.recreate)?;
    Ok(dump)
}

/// Has the control plane look at the source; stops on a failed check, shows warnings.
async fn check_source(context: &Context<'_>, api: &Api, project: &Project, url: &SourceUrl) -> Result<(), Failure> {
    context.output.note("Looking at the source …");
    let found = api.preflight(&project.id, &PreflightRequest { source_url: url.expose().to_owned() }).await?;
    dump::settle(context, &found)?;
    let (size, version) = (found.source.database_size_bytes, &found.source.server_version);
    let about = format!("Preflight passed: Postgres {version}, {}", bytes(size));
    context.output.note(&crate::text::printable(&about, 200));
    Ok(())
}

/// Uploads the dump and gives its object key.
async fn send(context: &Context<'_>, api: &Api, project: &Project, dump: &DumpFile) -> Result<String, Failure> {
    let mut tried = 1;
    loop {
        let slot = api.upload_slot(&project.id).await?;
        let progress = Progress::default();
        let meter = Meter::start(context.output, Work::Uploading, Some(dump.size), progress.clone());
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
