//! Login roles of a project that own nothing, so that row-level security applies to them.
//!
//! Roles belong to the whole server: the login role of a project has a name of its own. If an import has
//! created a role of the wanted name for its policies, the login role becomes a member of it and takes its
//! name in the project's database, so that `TO name` and `current_user` mean what they did in the source.

use super::{TargetServer, exists};
use anyhow::Context;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use tokio_postgres::Client;

/// A login role to create.
pub(in crate::server) struct ApplicationRole<'a> {
    /// The project's database.
    pub(in crate::server) database: &'a str,
    /// The project's own role.
    pub(in crate::server) owner: &'a str,
    /// Name of the role in the source.
    pub(in crate::server) name: &'a str,
    /// Name of the login role.
    pub(in crate::server) login: &'a str,
    /// Password of the login role.
    pub(in crate::server) password: &'a str,
}

impl TargetServer {
    /// Creates a login role, or makes it complete again. Rights that an import has brought for the role are
    /// kept; without any, it may read and write all rows, as far as policies allow.
    pub(in crate::server) async fn make_application_role(&self, role: &ApplicationRole<'_>) -> anyhow::Result<()> {
        let server = self.roles_session("capydb worker").await?;
        let (login, database) = (escape_identifier(role.login), escape_identifier(role.database));
        if !exists(&server, "select from pg_roles where rolname = $1", &[&role.login]).await? {
            server.batch_execute(&format!("create role {login} login")).await.context("cannot create the role")?;
        }
        let sql = format!("alter role {login} password {}", escape_literal(role.password));
        server.batch_execute(&sql).await.context("cannot set the role's password")?;
        server.batch_execute(&format!("grant connect, temporary on database {database} to {login}")).await?;
        let has_own_name = self.created_role(&server, role.name).await? == Some(true);
        if has_own_name {
            let name = escape_identifier(role.name);
            let sql = format!("grant {name} to {login}; alter role {login} in database {database} set role = {name}");
            server.batch_execute(&sql).await.context("cannot make the role a member")?;
        }
        let grantee = if has_own_name { role.name } else { role.login };
        let inside = self.session(role.database).await?;
        if !has_rights(&inside, grantee).await? {
            grant_rows(&inside, role.owner, grantee).await?;
        }
        Ok(())
    }
}

/// Whether a role has rights of its own on a table of this database.
async fn has_rights(session: &Client, role: &str) -> anyhow::Result<bool> {
    let sql = "select from pg_class c cross join aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
               where c.relkind in ('r', 'p', 'v', 'm') and r.rolname = $1 limit 1";
    exists(session, sql, &[&role]).await
}

/// Grants reading and writing of all rows, also of tables that the owner creates later.
async fn grant_rows(session: &Client, owner: &str, role: &str) -> anyhow::Result<()> {
    let (owner, role) = (escape_identifier(owner), escape_identifier(role));
    let sql = "select nspname::text from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'";
    for row in session.query(sql, &[]).await? {
        let schema = escape_identifier(row.get(0));
        let sql = format!(
            "begin;
             grant usage on schema {schema} to {role};
             grant select, insert, update, delete on all tables in schema {schema} to {role};
             grant usage, select on all sequences in schema {schema} to {role};
             alter default privileges for role {owner} in schema {schema} grant select, insert, update, delete on tables to {role};
             alter default privileges for role {owner} in schema {schema} grant usage, select on sequences to {role};
             commit"
        );
        session.batch_execute(&sql).await.with_context(|| format!("cannot grant rights on the schema {schema}"))?;
    }
    Ok(())
}
