//! Loading into the live database, in one transaction.

use super::input::Input;
use super::meter::Phase;
use super::prepare::prepare;
use super::{Failure, Import, restore};
use crate::wire::ImportSummary;

/// Whether an attempt before this one committed: the server knows by the transaction's id.
pub(super) async fn finished_before(import: &Import<'_>) -> Result<bool, Failure> {
    match import.transaction_id {
        Some(transaction) => Ok(committed(import, transaction).await?),
        None => Ok(false),
    }
}

async fn committed(import: &Import<'_>, transaction: &str) -> anyhow::Result<bool> {
    let session = import.server.session(import.database).await?;
    let sql = "select pg_xact_status($1::text::xid8)";
    let status = session.query_one(sql, &[&transaction]).await?;
    Ok(status.get::<_, Option<&str>>(0) == Some("committed"))
}

/// Loads, or leaves everything as it was.
pub(super) async fn run(import: &Import<'_>, input: &Input) -> Result<ImportSummary, Failure> {
    let server = import.server;
    let made = prepare(import, import.database, &input.plan).await?;
    let before = server.measure(import.database).await?;
    tracing::info!("job {}: loading into {} in one transaction", import.job.id, import.database);
    let loaded = restore::in_one_transaction(import, input).await;
    import.meter.enter(Phase::Finishing, None);
    let settled = server.settle(&import.application_name()).await;
    if let Err(failure) = loaded {
        settled?;
        // The answer to the commit may be all that was lost.
        let committed = match import.transaction.get() {
            Some(transaction) => committed(import, transaction).await?,
            None => false,
        };
        if !committed {
            import.take_back(import.database, &made).await;
            return Err(failure);
        }
        if failure.is_error_of_script() {
            return Err(failure.although_committed());
        }
    }
    let left_out = input.plan.left_out();
    let summary = ImportSummary { extensions: made.extensions, left_out, ..ImportSummary::default() };
    // The data is there, whether or not it can be counted.
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
