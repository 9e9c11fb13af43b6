//! The target server, and the administrator's operations on it.

use crate::dump::settings::HARMLESS;
use crate::preflight::ALLOWED_EXTENSIONS;
use crate::server::metadata::Store;
use crate::server::postgres::Endpoint;
use crate::wire::{ImportSummary, Job};
use anyhow::{Context, bail};
use postgres_protocol::escape::{escape_identifier, escape_literal};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

/// The Postgres server of the projects' databases.
pub(in crate::server) struct TargetServer {
    /// Connection as the administrator.
    pub(in crate::server) endpoint: Endpoint,
    /// Major version of the server.
    pub(in crate::server) major: u32,
    /// Id of this control plane, because several can share the server.
    pub(in crate::server) instance: String,
    /// Extensions of the allowlist that are available on the server.
    pub(in crate::server) extensions: Vec<String>,
}

/// Timeout of the health check.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// Connection limit of a project, below the server's limit so that one project cannot use all
/// connections.
pub(in crate::server) const MAX_CONNECTIONS: i32 = 100;

/// Extensions that every new project gets (the API's rules).
const FIRST_EXTENSIONS: [&str; 4] = ["vector", "pgcrypto", "uuid-ossp", "pg_trgm"];

/// Serializes creating and dropping roles.
const ROLES_LOCK: &str = "select pg_advisory_lock(4815162343)";

/// Objects created for an import outside of its transaction, to be rolled back if the import fails.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct CreatedObjects {
    pub(crate) extensions: Vec<String>,
    pub(crate) schemas: Vec<String>,
    pub(crate) roles: Vec<String>,
}

/// Statistics of a database. Sizes are in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure {
    pub(crate) size: u64,
    pub(crate) tables: u64,
    /// Number of rows ever inserted.
    pub(crate) inserted: u64,
}

impl From<Measure> for ImportSummary {
    fn from(measure: Measure) -> Self {
        Self { database_size_bytes: Some(measure.size), tables: Some(measure.tables), ..Self::default() }
    }
}

impl TargetServer {
    /// Reads which extensions of the allowlist are available on the server.
    pub(in crate::server) async fn load_available_extensions(&mut self) -> anyhow::Result<()> {
        let session = self.session("postgres").await?;
        let sql = "select name::text from pg_available_extensions where name = any($1)";
        let rows = session.query(sql, &[&ALLOWED_EXTENSIONS.as_slice()]).await?;
        self.extensions = rows.iter().map(|row| row.get(0)).collect();
        Ok(())
    }

    /// Whether the server responds.
    pub(in crate::server) async fn is_up(&self) -> bool {
        let probe = async { anyhow::Ok(self.session("postgres").await?.simple_query("select 1").await?) };
        tokio::time::timeout(HEALTH_TIMEOUT, probe).await.is_ok_and(|response| response.is_ok())
    }

    /// An administrator session in a database. The database's owner is untrusted, so objects and
    /// settings of the database must not affect the session (settings at the start of a session
    /// override those of the database).
    pub(in crate::server) async fn session(&self, database: &str) -> anyhow::Result<Client> {
        self.session_as("capydb worker", database).await
    }

    /// Like [`Self::session`], with an `application_name`. Imports use their own, so that recovery can
    /// terminate their remaining sessions.
    pub(crate) async fn session_as(&self, application: &str, database: &str) -> anyhow::Result<Client> {
        let endpoint = self.endpoint.with(|config| {
            config.options(format!("-c search_path=pg_catalog,pg_temp -c role=none {}", self.session_overrides()));
            config.dbname(database).application_name(application);
        });
        endpoint.connect().await.with_context(|| format!("cannot connect to the database {database}"))
    }

    /// Options that override settings of the database that are meant for its applications.
    pub(crate) fn session_overrides(&self) -> String {
        let newer = match self.major {
            17.. => "-c idle_session_timeout=0 -c transaction_timeout=0",
            14..17 => "-c idle_session_timeout=0",
            _ => "",
        };
        format!(
            "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 \
             -c default_transaction_read_only=off -c local_preload_libraries= {newer}"
        )
    }

    /// Creates a project's role, database and extensions, as far as they are missing.
    pub(in crate::server) async fn provision(&self, database: &str, role: &str, password: &str) -> anyhow::Result<()> {
        let server = self.session("postgres").await?;
        if !exists(&server, "select from pg_roles where rolname = $1", &[&role]).await? {
            let (role, password) = (escape_identifier(role), escape_literal(password));
            let sql = format!("create role {role} login connection limit {MAX_CONNECTIONS} password {password}");
            server.batch_execute(&sql).await.context("cannot create the project's role")?;
        }
        if self.major >= 15 {
            let sql = format!("grant set on parameter {} to {}", HARMLESS.join(", "), escape_identifier(role));
            server.batch_execute(&sql).await.context("cannot grant the project's role the right to change settings")?;
        }
        self.create_database("capydb worker", database, role, "").await?;
        let inside = self.session(database).await?;
        for name in FIRST_EXTENSIONS.into_iter().filter(|name| self.extensions.iter().any(|known| known == name)) {
            let sql = format!("create extension if not exists {} schema public", escape_identifier(name));
            inside.batch_execute(&sql).await.with_context(|| format!("cannot create the extension {name}"))?;
        }
        Ok(())
    }

    /// Creates an empty database that only its owner can access, unless it exists. `options` are those of
    /// `CREATE DATABASE`.
    pub(crate) async fn create_database(
        &self,
        application: &str,
        database: &str,
        owner: &str,
        options: &str,
    ) -> anyhow::Result<()> {
        let server = self.session_as(application, "postgres").await?;
        if !self.has_database(database).await? {
            let sql = format!(
                "create database {} owner {} template template0 {options}",
                escape_identifier(database),
                escape_identifier(owner)
            );
            server.batch_execute(&sql).await.with_context(|| format!("cannot create the database {database}"))?;
        }
        let sql = format!("revoke all on database {} from public", escape_identifier(database));
        Ok(server.batch_execute(&sql).await?)
    }

    pub(crate) async fn has_database(&self, database: &str) -> anyhow::Result<bool> {
        let server = self.session("postgres").await?;
        exists(&server, "select from pg_database where datname = $1", &[&database]).await
    }

    /// Drops a database and terminates its sessions; does nothing if the database does not exist.
    pub(crate) async fn drop_database(&self, database: &str) -> anyhow::Result<()> {
        let server = self.session("postgres").await?;
        // The owner may have made the database a template, which cannot be dropped. A partly dropped
        // database (after a full disk) cannot be altered, only dropped again.
        let sql = "select from pg_database where datname = $1 and datistemplate";
        if exists(&server, sql, &[&database]).await? {
            server.batch_execute(&format!("alter database {} is_template false", escape_identifier(database))).await?;
        }
        let sql = format!("drop database if exists {} with (force)", escape_identifier(database));
        server.batch_execute(&sql).await.with_context(|| format!("cannot drop the database {database}"))
    }

    /// Terminates all sessions of a job's attempts up to this one, and waits until they have ended.
    pub(crate) async fn terminate_attempts(&self, prefix: &str, attempt: i32) -> anyhow::Result<()> {
        let server = self.session("postgres").await?;
        for _ in 0..300 {
            let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                       where application_name = any(select $1 || n from generate_series(0, $2::int) n)";
            if server.query_one(sql, &[&prefix, &attempt]).await?.get::<_, i64>(0) == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("sessions of an earlier attempt do not terminate");
    }

    /// Waits until the sessions of an exited program have ended, so that the server's statistics are
    /// complete.
    pub(crate) async fn wait_for_sessions_to_end(&self, application: &str) -> anyhow::Result<()> {
        let server = self.session("postgres").await?;
        for _ in 0..500 {
            let sql = "select count(*) from pg_stat_activity where application_name = $1";
            if server.query_one(sql, &[&application]).await?.get::<_, i64>(0) == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Size of a database, in bytes.
    pub(in crate::server) async fn database_size(&self, database: &str) -> anyhow::Result<u64> {
        let sql = "select pg_database_size($1::text)";
        let row = self.session("postgres").await?.query_one(sql, &[&database]).await?;
        Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default())
    }

    /// Size, tables and inserted rows of a database.
    pub(crate) async fn measure(&self, database: &str) -> anyhow::Result<Measure> {
        let sql = "select pg_database_size(current_database()),
                       (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
                        where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
                          and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
                                          and d.objid = c.oid and d.deptype = 'e')),
                       (select coalesce(sum(n_tup_ins), 0)::bigint from pg_stat_user_tables)";
        let row = self.session(database).await?.query_one(sql, &[]).await?;
        let number = |column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap_or_default();
        Ok(Measure { size: number(0), tables: number(1), inserted: number(2) })
    }

    /// The first of these tables that is missing in a database.
    pub(crate) async fn missing_table(
        &self,
        database: &str,
        names: &[(String, String)],
    ) -> anyhow::Result<Option<String>> {
        let (schemas, tables): (Vec<&str>, Vec<&str>) = names.iter().map(|(schema, name)| (&**schema, &**name)).unzip();
        let sql = "select format('%I.%I', s, t) from unnest($1::text[], $2::text[]) wanted (s, t)
                   where to_regclass(format('%I.%I', s, t)) is null limit 1";
        let row = self.session(database).await?.query_opt(sql, &[&schemas, &tables]).await?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Drops the objects that were created in a database for an import. Objects that others depend on
    /// by now are kept.
    pub(crate) async fn rollback_created(
        &self,
        application: &str,
        database: &str,
        created: &CreatedObjects,
    ) -> anyhow::Result<()> {
        let drops =
            created.extensions.iter().rev().map(|name| format!("drop extension if exists {}", escape_identifier(name)));
        let drops = drops
            .chain(created.schemas.iter().map(|name| format!("drop schema if exists {}", escape_identifier(name))));
        drop_unused(&self.session_as(application, database).await?, drops.collect()).await
    }

    /// A session with the exclusive right to create and drop roles.
    pub(crate) async fn roles_session(&self, application: &str) -> anyhow::Result<Client> {
        let session = self.session_as(application, "postgres").await?;
        // The lock is held until the session ends. A timeout is an error that is retried.
        session.batch_execute("set lock_timeout = '30s'").await?;
        session.execute(ROLES_LOCK, &[]).await.context("cannot lock the creation of roles")?;
        Ok(session)
    }

    /// The comment on roles created by our imports. Only roles with this comment are dropped.
    pub(crate) fn role_comment(&self) -> String {
        format!("made by capydb {} for the policies of an import", self.instance)
    }

    /// Whether a role was created by our imports; `None` if it does not exist.
    pub(crate) async fn created_role(&self, session: &Client, role: &str) -> anyhow::Result<Option<bool>> {
        let sql = "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = $1";
        let row = session.query_opt(sql, &[&role]).await?;
        Ok(row.map(|row| row.get::<_, Option<&str>>(0) == Some(&self.role_comment())))
    }

    /// Drops roles that were created for an import, unless another import needs them.
    pub(crate) async fn drop_created_roles(
        &self,
        application: &str,
        store: &Store,
        job: &Job,
        roles: &[String],
    ) -> anyhow::Result<()> {
        if roles.is_empty() {
            return Ok(());
        }
        let session = self.roles_session(application).await?;
        for role in roles {
            if self.created_role(&session, role).await? == Some(true) && !store.is_role_needed(job, role).await? {
                drop_unused(&session, vec![format!("drop role if exists {}", escape_identifier(role))]).await?;
            }
        }
        // Until here, this job was recorded as using them.
        store.set_created_objects(job, &serde_json::to_value(CreatedObjects::default())?).await?;
        Ok(())
    }
}

/// Drops objects, except those that others depend on.
async fn drop_unused(session: &Client, drops: Vec<String>) -> anyhow::Result<()> {
    session.batch_execute("set lock_timeout = '10s'").await?; // a timeout is retried
    for sql in drops {
        match session.batch_execute(&sql).await {
            Err(error) if error.code() == Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) => {
                tracing::warn!("{sql}: {error}");
            }
            result => result.with_context(|| sql.clone())?,
        }
    }
    Ok(())
}

/// Whether a query returns a row.
pub(crate) async fn exists(client: &Client, sql: &str, values: &[&(dyn ToSql + Sync)]) -> anyhow::Result<bool> {
    Ok(client.query_opt(sql, values).await?.is_some())
}
