//! The right to turn triggers and foreign keys off (`session_replication_role`), which an import grants to
//! the project's role while a script that needs it runs.

use super::Import;
use crate::server::target::exists;
use anyhow::Context;
use postgres_protocol::escape::escape_identifier;

/// Grants the right. Recovery revokes it, even if this worker dies.
pub(super) async fn grant(import: &Import<'_>) -> anyhow::Result<()> {
    let session = import.server.roles_session(&import.application_name()).await?;
    let sql = format!("grant set on parameter session_replication_role to {}", escape_identifier(import.role));
    session.batch_execute(&sql).await.context("cannot grant the right to set session_replication_role")
}

/// Revokes the right, if the role has it.
pub(super) async fn revoke(import: &Import<'_>) -> anyhow::Result<()> {
    let sql = "select where has_parameter_privilege($1, 'session_replication_role', 'set')";
    if import.server.major < 15 || !exists(&import.server.session("postgres").await?, sql, &[&import.role]).await? {
        return Ok(());
    }
    // All grants on a parameter are one row, which two sessions cannot change at once.
    let session = import.server.roles_session(&import.application_name()).await?;
    let sql = format!("revoke set on parameter session_replication_role from {}", escape_identifier(import.role));
    session.batch_execute(&sql).await.context("cannot revoke the right to set session_replication_role")
}
