use super::args::PreflightArgs;
use super::context::Context;
use super::output::report;
use super::{Failure, Kind, source};
use crate::wire::{Preflight, PreflightRequest};
use serde_json::json;

/// `capydb import preflight`.
pub(super) async fn run(context: &Context<'_>, args: PreflightArgs) -> Result<(), Failure> {
    let text = source::given(args.source_url)?.ok_or_else(source::missing)?;
    let url = source::resolve(&text, context.output)?;
    let api = context.api()?;
    let project = context.project(&api, args.project.as_deref()).await?;
    context.output.note("Looking at the source …");
    let request = PreflightRequest { source_url: url.expose().to_owned() };
    let found = api.preflight(&project.id, &request).await?;
    context.output.text_result(&report::preflight(&found));
    if !found.ok {
        return Err(failed(&found));
    }
    context.output.json_result(|| json!({ "preflight": found }));
    Ok(())
}

/// The error of a preflight that failed.
pub(super) fn failed(found: &Preflight) -> Failure {
    let why = crate::preflight::failure(found).unwrap_or_else(|| "the service says that it is not ok".to_owned());
    Failure::new(Kind::Conflict, format!("the import would fail: {why}"))
        .hint("mend what failed, then run: capydb import preflight")
        .with("preflight", found)
}
