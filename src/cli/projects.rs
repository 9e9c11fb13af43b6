//! `capydb projects …`: lists projects and prints connection URLs.

use super::context::Context;
use super::output::report;
use super::{CliError, ErrorKind, jobs};
use crate::client::{Watch, watch};
use crate::preflight::APPLICATION_ROLES;
use crate::wire::{CreateProject, JobState};
use serde_json::json;

/// `capydb projects list`.
pub(super) async fn list(context: &Context<'_>) -> Result<(), CliError> {
    let projects = context.api()?.projects().await?;
    context.output.result(&report::projects(&projects), || json!({ "projects": projects }));
    Ok(())
}

/// `capydb projects create`: waits until the project is ready.
pub(super) async fn create(
    context: &Context<'_>,
    name: String,
    slug: Option<String>,
    environment: Option<String>,
) -> Result<(), CliError> {
    let api = context.api()?;
    let wanted = CreateProject { name, slug, environment, region: None, postgres_version: None };
    let created = api.create_project(&wanted).await?;
    context.output.note("Creating the project …");
    // Without a time limit, it ends with the job.
    if let Watch::Ended(job) = watch(&api, &created.job.id, None, |_| {}).await?
        && job.state != JobState::Completed
    {
        return Err(jobs::failed(&job));
    }
    let project = api.project(&created.project.id).await?;
    let text = format!(
        "{}\n\nImport a database: capydb import SOURCE --project {}",
        report::project(&project),
        report::label(&project)
    );
    context.output.result(&text, || json!({ "project": project }));
    Ok(())
}

/// `capydb projects show`.
pub(super) async fn show(context: &Context<'_>, project: Option<&str>) -> Result<(), CliError> {
    let api = context.api()?;
    let found = context.project(&api, project).await?;
    let project = api.project(&found.id).await?; // the list has no sizes
    context.output.result(&report::project(&project), || json!({ "project": project }));
    Ok(())
}

/// `capydb projects url`.
pub(super) async fn url(
    context: &Context<'_>,
    project: Option<&str>,
    direct: bool,
    role: Option<&str>,
) -> Result<(), CliError> {
    let api = context.api()?;
    let project = context.project(&api, project).await?;
    let connections = match role {
        None => api.connections(&project.id).await?,
        Some(_) if !project.import_features.iter().any(|feature| feature == APPLICATION_ROLES) => {
            return Err(CliError::new(ErrorKind::Conflict, "the control plane does not support --role")
                .hint("create a role with SQL, as the project's role; or: ALTER TABLE … FORCE ROW LEVEL SECURITY"));
        }
        Some(name) => api.application_role(&project.id, name).await?,
    };
    let (first, second) = (connections.pooled_url, connections.direct_url);
    let url = if direct { second } else { first.or(second) };
    let url =
        url.ok_or_else(|| CliError::new(ErrorKind::NotFound, "the control plane returned no such connection URL"))?;
    context.output.result(&url, || json!({ "url": url }));
    Ok(())
}
