//! Imports with `--recreate`: loads into a staging database, then renames it to the target.

use super::input::Input;
use super::prepare::{keep_extensions, prepare};
use super::progress::tracker::Phase;
use super::{Import, ImportFailure, ImportSource, grants, restore, spatial_reference};
use crate::server::metadata::Store;
use crate::server::target::{TargetServer, exists};
use crate::source::risks::DatabaseSetting;
use crate::util::format::bytes;
use crate::wire::{ImportSummary, Job, LeftOut};
use anyhow::Context;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use std::time::Duration;
use tokio_postgres::Client;

/// The database that an attempt loads into. Each attempt has its own, so that a late attempt cannot
/// find the database of the next one under its name.
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

/// Name of the database that a job has replaced.
fn old_name(job: &str) -> String {
    format!("capydb_old_{}", job.replace('-', ""))
}

/// Whether an attempt swapped the databases: only then the old one exists.
pub(super) async fn is_finished(import: &Import<'_>) -> anyhow::Result<bool> {
    reopen(import.server, import.database).await?;
    import.server.has_database(&old_name(&import.job.id)).await
}

/// When the project's own extensions are created in the staging database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeptExtensions {
    /// Before the load: the dump may use them without creating them (`pg_dump -n`).
    First,
    /// After the load, as far as the dump's own objects leave their names free.
    Last,
}

/// Loads and swaps, or fails without a change to the live database.
pub(super) async fn run(import: &Import<'_>, input: &Input) -> Result<ImportSummary, ImportFailure> {
    let staging = staging_name(import.job);
    let (mut input, mut kept) = (input.clone(), KeptExtensions::First);
    let mut first_missing_name = None;
    loop {
        let failure = match load_and_swap(import, &input, &staging, kept).await {
            Ok(summary) if first_missing_name.is_some() => {
                let left_out = [summary.left_out, vec![search_path_note()]].concat();
                return Ok(ImportSummary { left_out, ..summary });
            }
            Ok(summary) => return Ok(summary),
            Err(failure) => failure,
        };
        if failure.is_name_taken() && kept == KeptExtensions::First {
            tracing::info!("job {}: {failure}; loading again before the project's extensions", import.job.id);
            kept = KeptExtensions::Last;
        } else if failure.is_name_missing() && input.search_path.is_none() {
            // Functions that indexes, views and checks call may need the application's search path.
            tracing::info!("job {}: {failure}; loading again with a search path", import.job.id);
            input = input.with_search_path();
            first_missing_name = Some(failure);
        } else {
            // If the search path does not help, the first error is the better one.
            return Err(first_missing_name.filter(|_| failure.is_name_missing()).unwrap_or(failure));
        }
        import.server.drop_database(&staging).await?;
    }
}

/// What the report says about an import with a search path.
fn search_path_note() -> LeftOut {
    LeftOut {
        kind: "EMPTY SEARCH PATH".to_owned(),
        count: 1,
        reason: "functions in indexes, views or checks need the schemas of the application to load".to_owned(),
    }
}

/// Creates the staging database, loads it, and swaps it with the live one.
async fn load_and_swap(
    import: &Import<'_>,
    input: &Input,
    staging: &str,
    kept: KeptExtensions,
) -> Result<ImportSummary, ImportFailure> {
    let server = import.server;
    create_staging(import, staging, &input.source.database_options).await?;
    let created = prepare(import, staging, &input.plan).await?;
    let keep = async || keep_extensions(import, staging).await.context("cannot keep the project's extensions");
    let mut clashes = if kept == KeptExtensions::First { keep().await? } else { Vec::new() };
    spatial_reference::replace(&import.session(staging).await?).await?;
    // Rows inserted by extensions do not count as imported.
    server.wait_for_sessions_to_end(&import.application_name()).await?;
    let before = server.measure(staging).await?;
    tracing::info!("job {}: loading into a staging database", import.job.id);
    restore::into_staging(import, staging, input).await?;
    spatial_reference::keep(&import.session(staging).await?).await?;
    import.tracker.enter(Phase::Finishing, None);
    server.wait_for_sessions_to_end(&import.application_name()).await?;
    if input.search_path.is_some()
        && let Some(name) = ambiguous_name(import, staging, &input.plan.schemas).await?
    {
        let why = format!("functions find {name} by the search path, and several schemas have that name");
        return Err(ImportFailure::permanent(why));
    }
    if let Some(name) = server.missing_table(staging, &input.plan.table_names).await? {
        return Err(ImportFailure::permanent(format!("the table {name} of the dump is missing after the load")));
    }
    let after = server.measure(staging).await?;
    let limit = import.limits.storage_limit_bytes;
    if after.size > limit {
        let why =
            format!("the restored database has {}, more than the plan limit of {}", bytes(after.size), bytes(limit));
        return Err(ImportFailure::permanent(why));
    }
    if kept == KeptExtensions::Last {
        clashes = keep().await?;
        server.wait_for_sessions_to_end(&import.application_name()).await?;
    }
    if !import.store.extend_lease(import.job).await? {
        return Err(ImportFailure::lease_lost());
    }
    copy_settings(&import.session("postgres").await?, import.database, staging)
        .await
        .context("cannot copy the database's settings")?;
    let mut lost = carry_over_settings(import, staging, &input.source.settings).await?;
    // A dump does not say which settings its database had.
    if matches!(import.source, ImportSource::Url(_)) {
        lost.extend(kept_settings(import, &input.source.settings).await?);
    }
    lost.extend(grants::grant(import, staging, &input.plan).await?);
    server.keep_application_roles(staging, import.role).await?;
    swap(import, staging, &old_name(&import.job.id)).await?;
    let left_out = clashes.into_iter().map(|name| LeftOut {
        kind: format!("EXTENSION {name}"),
        count: 1,
        reason: "the project had it, but the dump has objects of the same names".to_owned(),
    });
    let rows = Some(after.inserted.saturating_sub(before.inserted));
    let left_out = input.plan.left_out().into_iter().chain(left_out).chain(lost);
    let left_out = left_out.chain(input.source.left_out.clone()).collect();
    let warnings = input.source.warnings.clone();
    Ok(ImportSummary { rows, left_out, warnings, extensions: created.extensions, ..after.into() })
}

/// Creates the staging database with the source's collation, or the server's if that one is refused.
async fn create_staging(import: &Import<'_>, staging: &str, options: &str) -> anyhow::Result<()> {
    let (server, application) = (import.server, import.application_name());
    if let Err(error) = server.create_database(&application, staging, import.role, options).await {
        if options.is_empty() {
            return Err(error);
        }
        tracing::warn!("job {}: no database with the source's collation: {error:#}", import.job.id);
        server.create_database(&application, staging, import.role, "").await?;
    }
    Ok(())
}

/// Sets the settings of the source's database, with the rights of the project's role. They override those
/// of the live database, which may come from an earlier import. Returns those that the server refuses.
async fn carry_over_settings(
    import: &Import<'_>,
    staging: &str,
    settings: &[DatabaseSetting],
) -> anyhow::Result<Vec<LeftOut>> {
    let session = import.session("postgres").await?;
    let mut refused = Vec::new();
    for setting in settings {
        let sql = set_setting(&format!("database {}", escape_identifier(staging)), &setting.name, &setting.value);
        // Only a superuser can set an application's own parameter, which means nothing to the server.
        let role =
            if is_of_application(&session, &setting.name).await? { "none" } else { &escape_identifier(import.role) };
        if let Err(error) = session.batch_execute(&format!("set role {role}; {sql}")).await {
            error.code().context("the connection to the target was lost")?;
            refused.push(LeftOut {
                kind: format!("SETTING {}", setting.name),
                count: 1,
                reason: "the target refused it".to_owned(),
            });
        }
        session.batch_execute("reset role").await?;
    }
    Ok(refused)
}

/// A name of a table or function that several of these schemas or `public` have: with a search path of all of
/// them, a function may have found the wrong one.
async fn ambiguous_name(import: &Import<'_>, staging: &str, schemas: &[String]) -> anyhow::Result<Option<String>> {
    let sql = "select name from (
                   select relname::text as name, relnamespace as schema, 'pg_class'::regclass as class, oid from pg_class
                   where relkind in ('r', 'p', 'v', 'm', 'S', 'f')
                   union all
                   select proname, pronamespace, 'pg_proc'::regclass, oid from pg_proc) object
               join pg_namespace n on n.oid = object.schema
               where (n.nspname = any($1) or n.nspname = 'public')
                 and not exists (select from pg_depend d where d.classid = class and d.objid = object.oid and d.deptype = 'e')
               group by name, class having count(distinct object.schema) > 1 order by name limit 1";
    let row = import.session(staging).await?.query_opt(sql, &[&schemas]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// Settings of the live database that the source does not have: the user's, or those of an earlier import.
async fn kept_settings(import: &Import<'_>, settings: &[DatabaseSetting]) -> anyhow::Result<Vec<LeftOut>> {
    let sql = "select split_part(setting, '=', 1)
               from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase cross join unnest(s.setconfig) setting
               where d.datname = $1 and s.setrole = 0 order by 1";
    let rows = import.session("postgres").await?.query(sql, &[&import.database]).await?;
    let names = rows.iter().map(|row| row.get::<_, String>(0));
    let others = names.filter(|name| !settings.iter().any(|setting| setting.name.eq_ignore_ascii_case(name)));
    let kept = |name: String| LeftOut {
        kind: format!("RESET {name}"),
        count: 1,
        reason: "the project's database has this setting, and keeps it".to_owned(),
    };
    Ok(others.map(kept).collect())
}

/// Whether a setting is of the form `name.name`, and no extension or language of the server may know it.
async fn is_of_application(session: &Client, name: &str) -> anyhow::Result<bool> {
    let Some((prefix, _)) = name.split_once('.') else { return Ok(false) };
    let sql = "select from pg_available_extensions where name = $1 or $1 = any('{auto_explain,plperl,plpgsql,pltcl}')
               or exists (select from pg_settings where starts_with(name, $1 || '.')) limit 1";
    Ok(!exists(session, sql, &[&prefix.to_ascii_lowercase()]).await?)
}

/// `ALTER … SET name TO value`, from the stored form of a value.
fn set_setting(object: &str, name: &str, value: &str) -> String {
    let value = if LISTS.contains(&name) { quote_names(value) } else { escape_literal(value) };
    let name = name.split('.').map(escape_identifier).collect::<Vec<_>>().join(".");
    format!("alter {object} set {name} to {value}")
}

/// Gives the staging database the target's name. Terminates the sessions of
/// the target; both renames are one transaction.
async fn swap(import: &Import<'_>, staging: &str, old: &str) -> anyhow::Result<()> {
    let (live, session) = (import.database, import.session("postgres").await?);
    let mut last = None;
    for _ in 0..5 {
        // No session may start between the termination and the renames. The staging database is
        // first: for a worker that is too late, it no longer exists.
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
        tokio::time::sleep(Duration::from_millis(200)).await; // autovacuum may have held the database
    }
    Err(anyhow::anyhow!("cannot swap the databases: {}", last.map_or_else(String::new, |e| e.to_string())))
}

/// Allows connections to the live database again after an incomplete swap.
async fn reopen(server: &TargetServer, live: &str) -> anyhow::Result<()> {
    let session = server.session("postgres").await?;
    let sql = "select from pg_database where datname = $1 and not datallowconn";
    if session.query_opt(sql, &[&live]).await?.is_some() {
        session.batch_execute(&format!("alter database {} allow_connections true", escape_identifier(live))).await?;
    }
    Ok(())
}

/// Settings with a list of names as their stored value.
const LISTS: [&str; 4] = ["search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"];

/// Copies the properties that belong to the database rather than to the data: settings, privileges,
/// connection limit and comment. The owner is the same role.
async fn copy_settings(session: &Client, live: &str, staging: &str) -> anyhow::Result<()> {
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
        let object = match row.get::<_, Option<&str>>(0) {
            Some(role) => format!("role {} in database {to}", escape_identifier(role)),
            None => format!("database {to}"),
        };
        statements.push(set_setting(&object, name, value));
    }
    for sql in statements {
        session.batch_execute(&sql).await?;
    }
    Ok(())
}

/// Converts a stored list of names to literals. The owner may have stored any text (`SET … FROM
/// CURRENT`), so every element must be quoted in the administrator's SQL.
fn quote_names(list: &str) -> String {
    let mut elements = vec![String::new()];
    let mut quoted = false;
    let mut characters = list.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            // Inside quotes, a doubled quote stands for one.
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

/// Drops the databases that a finished job left behind: staging databases, and the one it replaced.
pub(in crate::server) async fn drop_leftovers(server: &TargetServer, job: &str) -> anyhow::Result<()> {
    drop_staging(server, job).await?;
    server.drop_database(&old_name(job)).await
}

/// Drops staging and replaced databases of finished jobs, and reopens live databases that a swap has
/// closed. Continues after a failed drop, and returns the last such error. Unknown jobs belong to
/// another control plane on the same server.
pub(in crate::server) async fn drop_orphans(server: &TargetServer, store: &Store) -> anyhow::Result<()> {
    let session = server.session("postgres").await?;
    let mut dropped = Ok(());
    let sql = "select datname::text from pg_database where datname ~ '^capydb_(new|old)_[0-9a-f]{32}(_[0-9]+)?$'";
    for row in session.query(sql, &[]).await? {
        let name: String = row.get(0);
        let id = name.split('_').nth(2).and_then(|digits| uuid::Uuid::try_parse(digits).ok());
        let Some(id) = id else { continue };
        let job = store.job(&id.to_string()).await?;
        if job.is_some_and(|job| job.state.is_final()) {
            tracing::info!("dropping {name}, left behind by a finished job");
            if let Err(error) = server.drop_database(&name).await {
                dropped = Err(error);
            }
        }
    }
    let sql = "select datname::text from pg_database where not datallowconn and datname !~ '^(template0|capydb_(new|old)_.*)$'";
    for row in session.query(sql, &[]).await? {
        let name: String = row.get(0);
        if store.is_idle(&name).await? {
            tracing::warn!("reopening {name}, closed by an incomplete swap");
            reopen(server, &name).await?;
        }
    }
    dropped
}

#[cfg(test)]
mod tests {
    use super::quote_names;

    #[test]
    fn a_stored_name_list_is_converted_to_literals() {
        assert_eq!(quote_names("public, \"$user\", \"a, b\""), "'public', '$user', 'a, b'");
        assert_eq!(quote_names("\"\""), "''");
        assert_eq!(quote_names("\"a\"\"b\", c"), "'a\"b', 'c'");
        assert_eq!(quote_names("x;alter/**/role/**/y/**/superuser"), "'x;alter/**/role/**/y/**/superuser'");
        assert_eq!(quote_names("it's"), "'it''s'");
    }
}
