//! `capydb projects …`: lists projects and prints connection URLs.

use super::context::Context;
use super::output::report;
use super::{CliError, ErrorKind};
use crate::preflight::APPLICATION_ROLES;
use serde_json::json;

/// `capydb projects list`.
pub(super) async fn list(context: &Context<'_>) -> Result<(), CliError> {
    let projects = context.api()?.projects().await?;
    context.output.result(&report::projects(&projects), || json!({ "projects": projects }));
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
