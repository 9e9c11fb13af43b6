//! Loading into the live database, in one transaction.

use super::input::Input;
use super::{Failure, Import, restore};
use crate::wire::ImportSummary;

/// Whether an attempt before this one committed: the server knows by the transaction's id.
pub(super) async fn finished_before(import: &Import<'_>) -> Result<bool, Failure> {
    let Some(transaction) = import.transaction_id else { return Ok(false) };
    let session = import.server.session(import.database).await?;
    let sql = "select pg_xact_status($1::text::xid8)";
    let status = session.query_one(sql, &[&transaction]).await.map_err(anyhow::Error::from)?;
    Ok(status.get::<_, Option<&str>>(0) == Some("committed"))
}

/// Loads, or leaves everything as it was.
pub(super) async fn run(import: &Import<'_>, input: &Input) -> Result<ImportSummary, Failure> {
    let server = import.server;
    let made = server.prepare(import.database, import.role, &input.plan).await?;
    let before = server.measure(import.database).await?;
    tracing::info!("job {}: loading into {} in one transaction", import.job.id, import.database);
    let loaded = restore::in_one_transaction(import, input).await;
    server.settle(&import.application_name()).await?;
    if let Err(failure) = loaded {
        server.take_back(import.database, &made).await;
        return Err(failure);
    }
    let after = server.measure(import.database).await?;
    Ok(ImportSummary {
        tables: Some(after.tables.saturating_sub(before.tables)),
        rows: Some(after.inserted.saturating_sub(before.inserted)),
        extensions: made.extensions,
        left_out: input.plan.left_out(),
        ..after.into()
    })
}
