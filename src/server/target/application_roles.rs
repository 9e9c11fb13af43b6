//! Login roles of a project that own nothing, so that row-level security applies to them.
//!
//! Roles belong to the whole server, and those that imports create for policies are shared by all
//! projects. So the login role never becomes a member of one: in its project's database, it gets the
//! rights and the policies of that role.

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

/// The statements that give the second role the rights and policies of the first in this database: on
/// schemas, relations, columns and functions.
const SAME_RIGHTS: &str = "
    with source as (select oid from pg_roles where rolname = $1)
    select format('grant %s on schema %I to %I', a.privilege_type, n.nspname, $2::text)
    from source, pg_namespace n cross join aclexplode(n.nspacl) a
    where a.grantee = source.oid and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    union all
    select format('grant %s on %s %s to %I', a.privilege_type,
                  case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass, $2::text)
    from source, pg_class c cross join aclexplode(c.relacl) a where a.grantee = source.oid
    union all
    select format('grant %s (%I) on table %s to %I', a.privilege_type, t.attname, t.attrelid::regclass, $2::text)
    from source, pg_attribute t cross join aclexplode(t.attacl) a where a.grantee = source.oid and not t.attisdropped
    union all
    select format('grant %s on routine %s to %I', a.privilege_type, p.oid::regprocedure, $2::text)
    from source, pg_proc p cross join aclexplode(p.proacl) a where a.grantee = source.oid
    union all
    select format('alter policy %I on %s to %s, %I', p.polname, p.polrelid::regclass,
                  (select string_agg(quote_ident(r.rolname), ', ') from unnest(p.polroles) role join pg_roles r on r.oid = role),
                  $2::text)
    from source, pg_policy p
    where source.oid = any(p.polroles)
      and not exists (select from pg_roles r where r.rolname = $2 and r.oid = any(p.polroles))";

impl TargetServer {
    /// Creates a login role, or sets its password again. If the project's database has rights or policies
    /// of a role of its name, it gets the same; otherwise a new role may read and write all rows, as far as
    /// policies allow. False if another role has the name of the login.
    pub(in crate::server) async fn make_application_role(&self, role: &ApplicationRole<'_>) -> anyhow::Result<bool> {
        let server = self.roles_session("capydb worker").await?;
        let (login, database) = (escape_identifier(role.login), escape_identifier(role.database));
        let comment = self.application_role_comment(role.owner, role.name);
        let sql = "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = $1";
        let existing = server.query_opt(sql, &[&role.login]).await?.map(|row| row.get::<_, Option<String>>(0));
        match &existing {
            Some(found) if found.as_ref() != Some(&comment) => return Ok(false),
            Some(_) => {}
            None => {
                let comment = escape_literal(&comment);
                let sql = format!("begin; create role {login} login; comment on role {login} is {comment}; commit");
                server.batch_execute(&sql).await.context("cannot create the role")?;
            }
        }
        let sql = format!("alter role {login} password {}", escape_literal(role.password));
        server.batch_execute(&sql).await.context("cannot set the role's password")?;
        server.batch_execute(&format!("grant connect, temporary on database {database} to {login}")).await?;
        let inside = self.session(role.database).await?;
        let is_known = give_same_rights(&inside, role.name, role.login).await?;
        if !is_known && existing.is_none() {
            grant_rows(&inside, role.owner, role.login).await?;
        }
        Ok(true)
    }

    /// Gives the login roles of a project their rights in its new database, before that replaces the old.
    pub(crate) async fn keep_application_roles(&self, database: &str, owner: &str) -> anyhow::Result<()> {
        let session = self.session(database).await?;
        let sql = "select rolname::text, shobj_description(oid, 'pg_authid') from pg_roles
                   where starts_with(shobj_description(oid, 'pg_authid'), $1) order by 1";
        let prefix = self.application_role_comment(owner, "");
        for row in session.query(sql, &[&prefix]).await? {
            let (login, comment): (String, String) = (row.get(0), row.get(1));
            let name = comment.strip_prefix(&prefix).unwrap_or_default();
            if !give_same_rights(&session, name, &login).await? {
                grant_rows(&session, owner, &login).await?;
            }
        }
        Ok(())
    }

    fn application_role_comment(&self, owner: &str, name: &str) -> String {
        format!("made by capydb {} for applications of {owner} as {name}", self.instance)
    }
}

/// Gives a role the rights and policies that another has in this database; false if it has none.
async fn give_same_rights(session: &Client, from: &str, to: &str) -> anyhow::Result<bool> {
    let statements = session.query(SAME_RIGHTS, &[&from, &to]).await?;
    for row in &statements {
        let sql: &str = row.get(0);
        session.batch_execute(sql).await.context("cannot give the role its rights")?;
    }
    let sql = "select from pg_policy p join pg_roles r on r.oid = any(p.polroles) where r.rolname = $1 limit 1";
    Ok(!statements.is_empty() || exists(session, sql, &[&from]).await?)
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
