//! `capydb import preflight`: checks a source without changing anything.

use super::args::PreflightArgs;
use super::context::Context;
use super::dump::{self, Target};
use super::source::{self, SourceArg};
use super::{CliError, ErrorKind, output, via_dump};
use crate::preflight::{ExistingTables, Limits, TargetFacts, grade_dump, unreadable};
use crate::wire::Preflight;
use serde_json::json;
use std::path::PathBuf;

/// `capydb import preflight`.
pub(super) async fn run(context: &Context<'_>, args: PreflightArgs) -> Result<(), CliError> {
    let found = match source::given(&args.source)? {
        SourceArg::Files(_) if args.local => {
            return Err(CliError::new(ErrorKind::Usage, "--local is for a live source; dumps are always checked here"));
        }
        SourceArg::Files(paths) => of_dump(context, &args, &paths).await?,
        SourceArg::Url(_) if args.source.source_encoding.is_some() => {
            return Err(CliError::new(ErrorKind::Usage, "--source-encoding requires --file"));
        }
        SourceArg::Url(text) if args.local => {
            let url = source::resolve_local(&text, &args.source, context.output)?;
            let target = target(context, &args).await?;
            let facts = TargetFacts {
                recreate: args.recreate.then_some(true),
                allow_empty: args.allow_empty,
                ..TargetFacts::default()
            };
            let mut found = via_dump::inspect(context, &url, &target.limits, &facts).await?;
            found.checks.push(via_dump::tool_check(&found));
            found
        }
        SourceArg::Url(text) => {
            if args.target_version.is_some() || args.plan_limit.is_some() {
                return Err(CliError::new(
                    ErrorKind::Usage,
                    "--target-version and --plan-limit require --file or --local",
                ));
            }
            by_control_plane(context, &args, &text).await?
        }
    };
    context.output.text_result(&output::preflight::preflight(&found, context.output.is_verbose()));
    if !found.ok {
        return Err(CliError::preflight_failed(&found));
    }
    context.output.json_result(|| json!({ "preflight": found }));
    Ok(())
}

/// The target to grade against: from the flags, else from the project.
async fn target(context: &Context<'_>, args: &PreflightArgs) -> Result<Target, CliError> {
    if args.target_version.is_some() || args.plan_limit.is_some() {
        context.output.note("Checking for a control plane that runs plain SQL unchanged; capydb dev filters it");
        return Ok(Target::from_flags(args.target_version, args.plan_limit, args.recreate));
    }
    let offline = "or check offline with: --target-version 17 --plan-limit 10GB";
    let api = context.api().map_err(|failure| {
        let hint = failure.hint.clone().map_or_else(|| offline.to_owned(), |hint| format!("{hint}; {offline}"));
        failure.hint(hint)
    })?;
    let project = context.project(&api, args.project.as_deref()).await?;
    let target = Target::for_project(&project, args.recreate);
    Ok(target.with_existing(&api, &project, ExistingTables::Undecided).await)
}

async fn of_dump(context: &Context<'_>, args: &PreflightArgs, paths: &[PathBuf]) -> Result<Preflight, CliError> {
    let opened = match dump::open(context, paths, &args.source).await {
        Ok(dump) => dump,
        // A file that is not a dump gets a report; an unreadable file is an error.
        Err(failure) if failure.kind == ErrorKind::Conflict => {
            return Ok(unreadable(&failure.message, &no_limits(args)));
        }
        Err(failure) => return Err(failure),
    };
    let target = target(context, args).await?;
    match dump::inspect(context, &opened).await {
        Ok(found) => Ok(grade_dump(&opened, &found, &target.limits, &target.mode)),
        Err(failure) if failure.kind == ErrorKind::Conflict => Ok(unreadable(&failure.message, &target.limits)),
        Err(failure) => Err(failure),
    }
}

fn no_limits(args: &PreflightArgs) -> Limits {
    Target::from_flags(args.target_version, args.plan_limit, args.recreate).limits
}

async fn by_control_plane(context: &Context<'_>, args: &PreflightArgs, text: &str) -> Result<Preflight, CliError> {
    let url = source::resolve(text, &args.source, context.output)?;
    if let Err(why) = source::check_reachable(context, &url).await {
        let failure = source::unreachable_error(&why, &url);
        return Err(failure.hint("check from this machine with --local, and import with --via-dump"));
    }
    let api = context.api()?;
    let project = context.project(&api, args.project.as_deref()).await?;
    source::require_authorities_known(&url, &project)?;
    context.output.note("Checking the source …");
    let request = source::preflight_request(&url, &project, args.recreate.then_some(true), args.allow_empty);
    api.preflight(&project.id, &request).await.map_err(|error| source::preflight_error(error, &url))
}
