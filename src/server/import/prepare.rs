//! What is made before the data is loaded, by the administrator: extensions with their
//! schemas, and the roles that policies name. It lies outside of the import's transaction, so
//! it is written down before it is made, and taken back when the import fails or dies.

use super::error::failure::LEASE_LOST;
use super::plan::Plan;
use super::{Import, ImportFailure};
use crate::server::target::{CreatedObjects, exists};
use anyhow::{Context, bail};
use postgres_protocol::escape::{escape_identifier, escape_literal};
use tokio_postgres::Client;

/// Makes everything.
pub(super) async fn prepare(import: &Import<'_>, database: &str, plan: &Plan) -> Result<CreatedObjects, ImportFailure> {
    let mut created = CreatedObjects::default();
    prepare_all(import, database, plan, &mut created).await?;
    Ok(created)
}

async fn prepare_all(
    import: &Import<'_>,
    database: &str,
    plan: &Plan,
    created: &mut CreatedObjects,
) -> anyhow::Result<()> {
    let session = import.session(database).await?;
    make_roles(import, &plan.roles, created).await?;
    for wanted in plan.extensions.iter().filter(|wanted| wanted.name != "plpgsql") {
        let schema = wanted.schema.as_deref().unwrap_or("public");
        if !exists(&session, "select from pg_namespace where nspname = $1", &[&schema]).await? {
            created.schemas.push(schema.to_owned());
            remember(import, created).await?;
            let sql =
                format!("create schema {} authorization {}", escape_identifier(schema), escape_identifier(import.role));
            session.batch_execute(&sql).await?;
        }
        if let Some(there) = schema_of(&session, &wanted.name).await? {
            if wanted.schema.as_ref().is_some_and(|wished| *wished != there) {
                bail!(
                    "the extension {} is in the schema {there} of the target, and the dump wants it in {schema}; \
                     import with --recreate",
                    wanted.name
                );
            }
            continue;
        }
        created.extensions.push(wanted.name.clone());
        remember(import, created).await?;
        let sql = format!("create extension {} schema {}", escape_identifier(&wanted.name), escape_identifier(schema));
        session.batch_execute(&sql).await.with_context(|| format!("create the extension {}", wanted.name))?;
        open_configuration(&session, &wanted.name, import.role).await?;
    }
    Ok(())
}

/// Makes the roles that policies name. They are the server's, so other imports may count on them
/// too: who does writes that down, under a lock that those who drop roles hold as well.
async fn make_roles(import: &Import<'_>, roles: &[String], created: &mut CreatedObjects) -> anyhow::Result<()> {
    let reserved = |role: &&String| role.starts_with("pg_") || role.len() > 63 || role.is_empty();
    let roles: Vec<&String> = roles.iter().filter(|role| !reserved(role)).collect();
    if roles.is_empty() {
        return Ok(());
    }
    let server = import.server;
    let session = server.roles_session(&import.application_name()).await?;
    for role in roles {
        let there = server.created_role(&session, role).await?;
        if there != Some(false) {
            created.roles.push(role.clone());
            remember(import, created).await?;
        }
        if there.is_none() {
            let (role, mark) = (escape_identifier(role), escape_literal(&server.role_comment()));
            // Both or none: one without the mark would be somebody else's.
            let sql = format!("begin; create role {role} nologin; comment on role {role} is {mark}; commit");
            session.batch_execute(&sql).await?;
        }
    }
    Ok(())
}

async fn remember(import: &Import<'_>, created: &CreatedObjects) -> anyhow::Result<()> {
    if !import.store.set_created_objects(import.job, &serde_json::to_value(created)?).await? {
        bail!(LEASE_LOST);
    }
    Ok(())
}

async fn schema_of(session: &Client, extension: &str) -> anyhow::Result<Option<String>> {
    let sql =
        "select n.nspname::text from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = $1";
    Ok(session.query_opt(sql, &[&extension]).await?.map(|row| row.get(0)))
}

/// Rows that users add to an extension's tables are in their dumps (spatial_ref_sys), so the
/// owner must be able to load them.
async fn open_configuration(session: &Client, extension: &str, owner: &str) -> anyhow::Result<()> {
    let sql = "select c.oid::regclass::text from pg_extension e, unnest(e.extconfig) config, pg_class c
               where e.extname = $1 and c.oid = config and c.relkind = 'r'";
    for row in session.query(sql, &[&extension]).await? {
        let table: String = row.get(0);
        session.batch_execute(&format!("grant all on {table} to {}", escape_identifier(owner))).await?;
    }
    Ok(())
}
