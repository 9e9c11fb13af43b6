//! A clean slate: load into a staging database, then give it the target's name.

use super::input::Input;
use super::prepare::prepare;
use super::progress::tracker::Phase;
use super::{Import, ImportFailure, restore};
use crate::server::metadata::Store;
use crate::server::target::TargetServer;
use crate::util::format::bytes;
use crate::wire::{ImportSummary, Job};
use anyhow::Context;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use std::time::Duration;
use tokio_postgres::Client;

/// The database that an attempt of a job loads into. Each has its own: one that is late must
/// not find the half-full database of the next under its name.
fn staging_name(job: &Job) -> String {
    format!("{}{}", staging_prefix(&job.id), job.attempts)
}

fn staging_prefix(job: &str) -> String {
    format!("capydb_new_{}_", job.replace('-', ""))
}

/// Drops the staging databases of all attempts of a job.
pub(super) async fn drop_staging(server: &TargetServer, job: &str) -> anyhow::Result<()> {
    let session = server.session("postgres").await?;
    let sql = "select datname::text from pg_database where starts_with(datname, $1)";
    for row in session.query(sql, &[&staging_prefix(job)]).await? {
        server.drop_database(row.get(0)).await?;
    }
    Ok(())
}

/// What a job has taken the place of.
fn old_name(job: &str) -> String {
    format!("capydb_old_{}", job.replace('-', ""))
}

/// Whether an attempt swapped the databases: only then is there an old one.
pub(super) async fn is_finished(import: &Import<'_>) -> anyhow::Result<bool> {
    reopen(import.server, import.database).await?;
    import.server.has_database(&old_name(&import.job.id)).await
}

/// Loads and swaps, or fails without a change to the live database.
pub(super) async fn run(import: &Import<'_>, input: &Input) -> Result<ImportSummary, ImportFailure> {
    let staging = staging_name(import.job);
    import.server.create_database(&import.application_name(), &staging, import.role).await?;
    let created = prepare(import, &staging, &input.plan).await?;
    let summary = load_and_swap(import, input, &staging).await?;
    Ok(ImportSummary { extensions: created.extensions, left_out: input.plan.left_out(), ..summary })
}

async fn load_and_swap(import: &Import<'_>, input: &Input, staging: &str) -> Result<ImportSummary, ImportFailure> {
    let server = import.server;
    // Rows that extensions brought are not the import's.
    server.wait_for_sessions_to_end(&import.application_name()).await?;
    let before = server.measure(staging).await?;
    tracing::info!("job {}: loading into a staging database", import.job.id);
    restore::into_staging(import, staging, input).await?;
    import.tracker.enter(Phase::Finishing, None);
    server.wait_for_sessions_to_end(&import.application_name()).await?;
    if let Some(name) = server.missing_table(staging, &input.plan.table_names).await? {
        return Err(ImportFailure::permanent(format!(
            "the dump's table {name} is not there after all of it was loaded"
        )));
    }
    let after = server.measure(staging).await?;
    let limit = import.limits.storage_limit_bytes;
    if after.size > limit {
        let why = format!("the database has {}, more than the {} of the plan", bytes(after.size), bytes(limit));
        return Err(ImportFailure::permanent(why));
    }
    if !import.store.extend_lease(import.job).await? {
        return Err(ImportFailure::lease_lost());
    }
    swap(import, staging, &old_name(&import.job.id)).await?;
    Ok(ImportSummary { rows: Some(after.inserted.saturating_sub(before.inserted)), ..after.into() })
}

/// Gives the staging database the target's name, settings and privileges. Sessions of the
/// target are ended; the renames are one transaction.
async fn swap(import: &Import<'_>, staging: &str, old: &str) -> anyhow::Result<()> {
    let (live, session) = (import.database, import.session("postgres").await?);
    carry_over(&session, live, staging).await.context("carry over the database's settings")?;
    let mut last = None;
    for _ in 0..5 {
        // Nobody may come in between the end of the sessions and the renames.
        // The staging database first: to a worker that comes too late it is gone.
        for name in [staging, live] {
            session
                .batch_execute(&format!("alter database {} allow_connections false", escape_identifier(name)))
                .await?;
        }
        let end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = any($1)";
        session.query(end, &[&[live, staging].as_slice()]).await?;
        let rename = format!(
            "begin; alter database {live} rename to {old}; alter database {staging} rename to {live};
             alter database {live} allow_connections true; commit;",
            live = escape_identifier(live),
            staging = escape_identifier(staging),
            old = escape_identifier(old)
        );
        match session.batch_execute(&rename).await {
            Ok(()) => return Ok(()),
            Err(error) => last = Some(error),
        }
        session.batch_execute("rollback").await?;
        tokio::time::sleep(Duration::from_millis(200)).await; // a maintenance process was in the way
    }
    Err(anyhow::anyhow!("the databases could not be swapped: {}", last.map_or_else(String::new, |e| e.to_string())))
}

/// Lets sessions into the live database again, after a swap that did not come about.
async fn reopen(server: &TargetServer, live: &str) -> anyhow::Result<()> {
    let session = server.session("postgres").await?;
    let sql = "select from pg_database where datname = $1 and not datallowconn";
    if session.query_opt(sql, &[&live]).await?.is_some() {
        session.batch_execute(&format!("alter database {} allow_connections true", escape_identifier(live))).await?;
    }
    Ok(())
}

/// Settings whose stored value is a list of names.
const LISTS: [&str; 4] = ["search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"];

/// Copies what belongs to the name rather than to the data: settings, privileges, the
/// connection limit, the comment. The owner is the same role.
async fn carry_over(session: &Client, live: &str, staging: &str) -> anyhow::Result<()> {
    let to = escape_identifier(staging);
    let mut statements = Vec::new();
    let sql = "select datconnlimit, shobj_description(oid, 'pg_database') from pg_database where datname = $1";
    let row = session.query_one(sql, &[&live]).await?;
    statements.push(format!("alter database {to} connection limit {}", row.get::<_, i32>(0)));
    if let Some(comment) = row.get::<_, Option<&str>>(1) {
        statements.push(format!("comment on database {to} is {}", escape_literal(comment)));
    }
    let sql = "select a.privilege_type, a.is_grantable, r.rolname
               from pg_database d cross join aclexplode(d.datacl) a left join pg_roles r on r.oid = a.grantee
               where d.datname = $1 and a.grantee <> d.datdba";
    for row in session.query(sql, &[&live]).await? {
        let (privilege, grantable): (&str, bool) = (row.get(0), row.get(1));
        let grantee = row.get::<_, Option<&str>>(2).map_or_else(|| "public".to_owned(), escape_identifier);
        let option = if grantable { " with grant option" } else { "" };
        statements.push(format!("grant {privilege} on database {to} to {grantee}{option}"));
    }
    let sql = "select r.rolname, setting from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
               left join pg_roles r on r.oid = s.setrole cross join unnest(s.setconfig) setting
               where d.datname = $1";
    for row in session.query(sql, &[&live]).await? {
        let setting: &str = row.get(1);
        let Some((name, value)) = setting.split_once('=') else { continue };
        let value = if LISTS.contains(&name) { names(value) } else { escape_literal(value) };
        let name = name.split('.').map(escape_identifier).collect::<Vec<_>>().join(".");
        statements.push(match row.get::<_, Option<&str>>(0) {
            Some(role) => format!("alter role {} in database {to} set {name} to {value}", escape_identifier(role)),
            None => format!("alter database {to} set {name} to {value}"),
        });
    }
    for sql in statements {
        session.batch_execute(&sql).await?;
    }
    Ok(())
}

/// A stored list of names as literals. The owner may have stored any text (`SET … FROM
/// CURRENT`), so none of it may reach the administrator's SQL unquoted.
fn names(list: &str) -> String {
    let mut elements = vec![String::new()];
    let mut quoted = false;
    let mut characters = list.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            // Inside quotes a doubled quote is a quote.
            '"' if quoted && characters.next_if_eq(&'"').is_some() => {
                elements.last_mut().into_iter().for_each(|element| element.push('"'));
            }
            '"' => quoted = !quoted,
            ',' if !quoted => elements.push(String::new()),
            c if c.is_whitespace() && !quoted => {}
            c => elements.last_mut().into_iter().for_each(|element| element.push(c)),
        }
    }
    elements.iter().map(|element| escape_literal(element)).collect::<Vec<_>>().join(", ")
}

/// Drops what a job that is over has left: staging databases, and the one that it has replaced.
pub(in crate::server) async fn drop_leftovers(server: &TargetServer, job: &str) -> anyhow::Result<()> {
    drop_staging(server, job).await?;
    server.drop_database(&old_name(job)).await
}

/// Drops staging databases and replaced databases of jobs that are over, and opens live ones
/// that a swap has closed. What cannot be put right does not keep it from the rest. Jobs that are
/// not known are those of another control plane on the same server.
pub(in crate::server) async fn drop_orphans(server: &TargetServer, store: &Store) -> anyhow::Result<()> {
    let session = server.session("postgres").await?;
    let mut trouble = Ok(());
    let sql = "select datname::text from pg_database where datname ~ '^capydb_(new|old)_[0-9a-f]{32}(_[0-9]+)?$'";
    for row in session.query(sql, &[]).await? {
        let name: String = row.get(0);
        let id = name.split('_').nth(2).and_then(|digits| uuid::Uuid::try_parse(digits).ok());
        let Some(id) = id else { continue };
        let job = store.job(&id.to_string()).await?;
        if job.is_some_and(|job| job.state.is_final()) {
            tracing::info!("dropping {name}, which its job has left behind");
            if let Err(error) = server.drop_database(&name).await {
                trouble = Err(error);
            }
        }
    }
    let sql = "select datname::text from pg_database where not datallowconn and datname !~ '^(template0|capydb_(new|old)_.*)$'";
    for row in session.query(sql, &[]).await? {
        let name: String = row.get(0);
        if store.is_idle(&name).await? {
            tracing::warn!("opening {name}, which a swap has closed");
            reopen(server, &name).await?;
        }
    }
    trouble
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_stored_list_becomes_literals() {
        assert_eq!(names("public, \"$user\", \"a, b\""), "'public', '$user', 'a, b'");
        assert_eq!(names("\"\""), "''");
        assert_eq!(names("\"a\"\"b\", c"), "'a\"b', 'c'");
        assert_eq!(names("x;alter/**/role/**/y/**/superuser"), "'x;alter/**/role/**/y/**/superuser'");
        assert_eq!(names("it's"), "'it''s'");
    }
}
