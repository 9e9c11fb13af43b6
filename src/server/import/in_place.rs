//! Imports into the live database, in one transaction.

use super::input::Input;
use super::prepare::prepare;
use super::progress::tracker::Phase;
use super::{Import, ImportFailure, grants, restore};
use crate::wire::ImportSummary;
use anyhow::bail;

/// Whether the transaction of an attempt was committed, by its transaction id on the server.
pub(super) async fn is_finished(import: &Import<'_>, transaction: Option<&str>) -> anyhow::Result<bool> {
    let Some(transaction) = transaction else { return Ok(false) };
    // Transaction ids are valid in all databases of a server, and the owner of the project's database
    // could interfere with a session there.
    let session = import.server.session("postgres").await?;
    let sql = "select pg_xact_status($1::text::xid8)";
    let status = session.query_one(sql, &[&transaction]).await?;
    match status.get::<_, Option<&str>>(0) {
        Some("in progress") => {
            // It may be committing, and the script may have changed the application name.
            let sql = "select pg_terminate_backend(pid) from pg_stat_activity where backend_xid = $1::text::xid8::xid";
            session.query(sql, &[&transaction]).await?;
            bail!("the import transaction is still in progress");
        }
        status => Ok(status == Some("committed")),
    }
}

/// Those of the dump's schemas that the target has already.
async fn existing_schemas(import: &Import<'_>, schemas: &[String]) -> anyhow::Result<Vec<String>> {
    let sql = "select nspname::text from pg_namespace where nspname = any($1)";
    let rows = import.session(import.database).await?.query(sql, &[&schemas]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Loads the data. On error nothing remains in the database except the prepared objects.
pub(super) async fn run(import: &Import<'_>, input: &Input) -> Result<ImportSummary, ImportFailure> {
    let server = import.server;
    let existing = existing_schemas(import, &input.plan.schemas).await?;
    let input = &Input { plan: input.plan.clone().with_existing_schemas(existing), ..input.clone() };
    let created = prepare(import, import.database, &input.plan).await?;
    // Rows inserted by extensions do not count as imported.
    server.wait_for_sessions_to_end(&import.application_name()).await?;
    let before = server.measure(import.database).await?;
    tracing::info!("job {}: loading into {} in one transaction", import.job.id, import.database);
    restore::in_one_transaction(import, input).await?;
    import.tracker.enter(Phase::Finishing, None);
    server.wait_for_sessions_to_end(&import.application_name()).await?;
    // The data is committed: rights that are missing are told, and do not fail the import.
    let refused = grants::grant(import, import.database, &input.plan).await.unwrap_or_default();
    let left_out = [input.plan.left_out(), input.source.left_out.clone(), refused].concat();
    let warnings = input.source.warnings.clone();
    let summary = ImportSummary { extensions: created.extensions, left_out, warnings, ..ImportSummary::default() };
    // The data is committed, even if it cannot be counted.
    Ok(match server.measure(import.database).await {
        Err(_) => summary,
        Ok(after) => ImportSummary {
            database_size_bytes: Some(after.size),
            tables: Some(after.tables.saturating_sub(before.tables)),
            rows: Some(after.inserted.saturating_sub(before.inserted)),
            ..summary
        },
    })
}
