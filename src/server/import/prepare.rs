//! Creates, as administrator, the objects that must exist before the load: extensions with their
//! schemas, and the roles that policies name. They are outside the import's transaction, so each is
//! recorded before it is created, and rolled back when the import fails or its worker dies.

use super::error::failure::LEASE_LOST;
use super::plan::Plan;
use super::{Import, ImportFailure};
use crate::server::target::{CreatedObjects, exists};
use anyhow::{Context, bail};
use postgres_protocol::escape::{escape_identifier, escape_literal};
use tokio_postgres::Client;

/// Creates all extensions, schemas and roles of the plan.
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
) -> Result<(), ImportFailure> {
    let session = import.session(database).await?;
    make_roles(import, &plan.roles, created).await?;
    for requested in plan.extensions.iter().filter(|requested| requested.name != "plpgsql") {
        let schema = requested.schema.as_deref().unwrap_or("public");
        if !exists(&session, "select from pg_namespace where nspname = $1", &[&schema]).await? {
            created.schemas.push(schema.to_owned());
            record(import, created).await?;
            let sql =
                format!("create schema {} authorization {}", escape_identifier(schema), escape_identifier(import.role));
            session.batch_execute(&sql).await.context("cannot create the schema of an extension")?;
        }
        if let Some(existing) = schema_of(&session, &requested.name).await? {
            if requested.schema.as_ref().is_some_and(|schema| *schema != existing) {
                let name = &requested.name;
                let why = format!(
                    "the extension {name} is in schema {existing} of the target, but the dump needs it in {schema}"
                );
                return Err(ImportFailure::permanent(format!("{why}; import with --recreate")));
            }
            continue;
        }
        created.extensions.push(requested.name.clone());
        record(import, created).await?;
        let sql =
            format!("create extension {} schema {}", escape_identifier(&requested.name), escape_identifier(schema));
        session.batch_execute(&sql).await.with_context(|| format!("cannot create the extension {}", requested.name))?;
        open_configuration(&session, &requested.name, import.role).await?;
    }
    Ok(())
}

/// Creates the roles that policies name. Roles belong to the whole server, so other imports may need
/// them too: each records its use, under the lock that also guards dropping roles.
async fn make_roles(import: &Import<'_>, roles: &[String], created: &mut CreatedObjects) -> anyhow::Result<()> {
    let reserved = |role: &&String| role.starts_with("pg_") || role.len() > 63 || role.is_empty();
    let roles: Vec<&String> = roles.iter().filter(|role| !reserved(role)).collect();
    if roles.is_empty() {
        return Ok(());
    }
    let server = import.server;
    let session = server.roles_session(&import.application_name()).await?;
    for role in roles {
        let is_ours = server.created_role(&session, role).await?;
        if is_ours != Some(false) {
            created.roles.push(role.clone());
            record(import, created).await?;
        }
        if is_ours.is_none() {
            let (role, comment) = (escape_identifier(role), escape_literal(&server.role_comment()));
            // In one transaction: without the comment the role would count as not ours.
            let sql = format!("begin; create role {role} nologin; comment on role {role} is {comment}; commit");
            session.batch_execute(&sql).await?;
        }
    }
    Ok(())
}

/// Creates in the staging database the extensions that the live database has and the dump did not
/// bring: they belong to the project, as its settings do. Returns those that cannot be created, because
/// the dump has objects of the same names.
pub(super) async fn keep_extensions(import: &Import<'_>, staging: &str) -> anyhow::Result<Vec<String>> {
    let sql =
        "select e.extname::text, n.nspname::text from pg_extension e join pg_namespace n on n.oid = e.extnamespace
               where e.extname <> 'plpgsql' order by e.oid";
    let live = import.session(import.database).await?.query(sql, &[]).await?;
    let session = import.session(staging).await?;
    let mut clashes = Vec::new();
    for row in live {
        let (name, schema): (String, String) = (row.get(0), row.get(1));
        if schema_of(&session, &name).await?.is_some() {
            continue;
        }
        let (quoted, quoted_schema) = (escape_identifier(&name), escape_identifier(&schema));
        // Both or neither: a schema that only the extension needs must not stay without it.
        let sql = format!(
            "begin; create schema if not exists {quoted_schema} authorization {role};
             create extension {quoted} schema {quoted_schema}; commit",
            role = escape_identifier(import.role)
        );
        if let Err(error) = session.batch_execute(&sql).await {
            session.batch_execute("rollback").await?;
            if error.code().is_none() {
                return Err(error.into());
            }
            tracing::info!("job {}: the extension {name} is not kept: {error}", import.job.id);
            clashes.push(name);
        } else {
            open_configuration(&session, &name, import.role).await?;
        }
    }
    Ok(clashes)
}

async fn record(import: &Import<'_>, created: &CreatedObjects) -> anyhow::Result<()> {
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

/// Lets the owner load an extension's configuration tables: dumps contain the rows that users have
/// added to them (`spatial_ref_sys`).
async fn open_configuration(session: &Client, extension: &str, owner: &str) -> anyhow::Result<()> {
    let sql = "select c.oid::regclass::text from pg_extension e, unnest(e.extconfig) config, pg_class c
               where e.extname = $1 and c.oid = config and c.relkind = 'r'";
    for row in session.query(sql, &[&extension]).await? {
        let table: String = row.get(0);
        session.batch_execute(&format!("grant all on {table} to {}", escape_identifier(owner))).await?;
    }
    Ok(())
}
