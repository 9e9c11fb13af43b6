//! Rights of the roles that policies name. Ownership and other privileges of the source's roles are not
//! imported; without these, the roles of policies could read nothing.

use super::Import;
use super::plan::Plan;
use crate::wire::LeftOut;
use anyhow::Context;

/// Runs the dump's grants to roles that its policies name, as the project's role. Returns those that the
/// server refuses.
pub(super) async fn grant(import: &Import<'_>, database: &str, plan: &Plan) -> anyhow::Result<Vec<LeftOut>> {
    let wanted: Vec<&String> = plan.grants_to_policy_roles().collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    // The statements come from the dump, so they must not run as the administrator.
    let endpoint = import.server.endpoint.with(|config| {
        config.user(import.role).password(import.role_password).dbname(database);
        config.application_name(import.application_name()).options(import.server.session_overrides());
    });
    let session = endpoint.connect().await.context("cannot connect to grant the rights of policy roles")?;
    let mut refused = 0;
    for statement in wanted {
        // As a prepared statement, the text can be only one.
        if let Err(error) = session.execute(statement.as_str(), &[]).await {
            error.code().context("the connection to the target was lost")?;
            refused += 1;
        }
    }
    let reason = "the target refused rights of roles that policies name".to_owned();
    Ok((refused > 0).then(|| LeftOut { kind: "GRANT".to_owned(), count: refused, reason }).into_iter().collect())
}
