//! Queries on a project's database for its owner: extensions, and SQL statements.

use super::TargetServer;
use crate::dump::statement::{count_statements, is_copy};
use crate::preflight::ALLOWED_EXTENSIONS;
use crate::server::postgres::SessionError;
use crate::wire::{ProjectExtension, SqlRequest, SqlResult};
use futures_util::{StreamExt, pin_mut};
use serde_json::value::{RawValue, to_raw_value};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

/// Timeout of a statement, enforced by the server.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout of the whole call, for statements that do not react to the server's timeout.
const CALL_TIMEOUT: Duration = Duration::from_secs(35);
/// Maximum size of a result, in bytes: the driver holds whole rows in memory.
const MAX_RESULT_BYTES: u64 = 32_000_000;
/// Maximum number of values in a result.
const MAX_VALUES: usize = 500_000;
/// Default and maximum number of rows in a result.
const DEFAULT_ROWS: u32 = 1000;
const MAX_ROWS: u32 = 10_000;
/// The error for input that is not one SQL statement.
const NOT_ONE_STATEMENT: &str = "query must be one SQL statement";

/// Why a statement has no result.
#[derive(Debug)]
pub(crate) enum QueryError {
    /// The statement failed, or its result is not supported; the message is for the caller.
    Statement(String),
    /// The database's owner has changed a required setting.
    Changed(&'static str),
    /// The statement timed out.
    TooLong(String),
    /// The database is unreachable.
    Unreachable(&'static str),
}

/// The extensions that are installed or available in a project's database, by name.
pub(crate) async fn extensions(server: &TargetServer, database: &str) -> anyhow::Result<Vec<ProjectExtension>> {
    let sql =
        "select w.name, coalesce(a.comment, ''), a.default_version, a.installed_version, coalesce(v.trusted, false)
               from (select unnest($1::text[]) as name union select name::text from pg_available_extensions
                     where installed_version is not null) w
               left join pg_available_extensions a on a.name = w.name
               left join pg_available_extension_versions v on v.name = a.name and v.version = a.default_version
               order by w.name";
    let rows = server.session(database).await?.query(sql, &[&ALLOWED_EXTENSIONS.as_slice()]).await?;
    let extension = |row: &tokio_postgres::Row| {
        let installed_version: Option<String> = row.get(3);
        ProjectExtension {
            name: row.get(0),
            description: row.get(1),
            enabled: installed_version.is_some(),
            trusted: row.get(4),
            default_version: row.get(2),
            installed_version,
        }
    };
    Ok(rows.iter().map(extension).collect())
}

/// The database and the role for a statement.
pub(crate) struct RoleLogin<'a> {
    pub(crate) database: &'a str,
    pub(crate) role: &'a str,
    pub(crate) password: &'a str,
}

/// Runs one statement as the project's own role.
pub(crate) async fn query(
    server: &Arc<TargetServer>,
    login: &RoleLogin<'_>,
    request: &SqlRequest,
) -> Result<SqlResult, QueryError> {
    if request.query.trim().is_empty() || request.query.contains('\0') {
        return Err(QueryError::Statement(NOT_ONE_STATEMENT.to_owned()));
    }
    let endpoint = server.endpoint.with(|config| {
        config.user(login.role).password(login.password).dbname(login.database).application_name("capydb sql");
        config.options(format!("-c statement_timeout={}", STATEMENT_TIMEOUT.as_millis()));
    });
    let (session, connection) =
        endpoint.connect_limited(MAX_RESULT_BYTES).await.map_err(|error| session_error(&error))?;
    let started = Instant::now();
    let work = async {
        let row = session.query_one("select pg_backend_pid()", &[]).await?;
        // Terminates the backend when the caller disconnects or the call times out.
        let guard = TerminateOnDrop { server: server.clone(), pid: Some(row.get(0)) };
        let result = run(&session, request).await;
        guard.disarm();
        result
    };
    let Ok(result) = tokio::time::timeout(CALL_TIMEOUT, work).await else { return Err(too_long()) };
    let error = match result {
        Ok(result) => {
            let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            return Ok(SqlResult { duration_ms, ..result });
        }
        Err(error) if error.is_closed() => {
            drop(session);
            // The connection task has the cause.
            connection.await.ok().and_then(Result::err).unwrap_or(error)
        }
        Err(error) => error,
    };
    Err(explain(&request.query, &error, started.elapsed()))
}

/// Terminates a backend on drop, unless disarmed.
struct TerminateOnDrop {
    server: Arc<TargetServer>,
    pid: Option<i32>,
}

impl TerminateOnDrop {
    fn disarm(mut self) {
        self.pid = None;
    }
}

impl Drop for TerminateOnDrop {
    fn drop(&mut self) {
        let Some(pid) = self.pid else { return };
        let server = self.server.clone();
        tokio::spawn(async move {
            let end = "select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and application_name = 'capydb sql'";
            let ended = async { anyhow::Ok(server.session("postgres").await?.query(end, &[&pid]).await?) };
            if let Err(error) = ended.await {
                tracing::warn!("cannot terminate an abandoned statement: {error:#}");
            }
        });
    }
}

fn session_error(error: &anyhow::Error) -> QueryError {
    tracing::warn!("cannot connect to a project's database: {error:#}");
    let code = error.downcast_ref::<SessionError>().and_then(|error| error.code.as_ref());
    if code == Some(&SqlState::INVALID_PASSWORD) {
        return QueryError::Changed("the password of the project's role was changed; restore the original password");
    }
    QueryError::Unreachable("cannot connect to the database; try again")
}

fn too_long() -> QueryError {
    let seconds = STATEMENT_TIMEOUT.as_secs();
    QueryError::TooLong(format!("the statement exceeded the limit of {seconds} seconds and was rolled back"))
}

/// Runs a statement in a transaction, so that it is rolled back if its result is too large. A few
/// commands cannot run in one and run without.
async fn run(session: &Client, request: &SqlRequest) -> Result<SqlResult, tokio_postgres::Error> {
    let (query, most) = (&request.query, request.max_rows.unwrap_or(DEFAULT_ROWS).min(MAX_ROWS) as usize);
    let read_only = request.read_only.unwrap_or(false);
    let begin = if read_only { "begin transaction read only" } else { "begin" };
    session.batch_execute(begin).await?;
    // Only a single statement can be prepared, so the text cannot end the transaction and continue.
    let statement = session.prepare(query).await?;
    let columns: Vec<(String, Type)> =
        statement.columns().iter().map(|column| (column.name().to_owned(), column.type_().clone())).collect();
    if !read_only {
        return match collect(session, query, &columns, most).await {
            Ok(result) => {
                session.batch_execute("commit").await?;
                Ok(result)
            }
            Err(error) if error.code() == Some(&SqlState::ACTIVE_SQL_TRANSACTION) => {
                session.batch_execute("rollback").await?;
                collect(session, query, &columns, most).await
            }
            Err(error) => Err(error),
        };
    }
    // With a cursor, the server computes no more rows than needed. Statements that are not queries
    // (SHOW, EXPLAIN) do not support cursors.
    let declare = format!("declare capydb_rows no scroll cursor for {query}");
    let result = if session.batch_execute(&declare).await.is_ok() {
        let fetch = format!("fetch {} from capydb_rows", most + 1);
        let fetched = collect(session, &fetch, &columns, most).await?;
        SqlResult { row_count: fetched.rows.len() as u64, ..fetched }
    } else {
        session.batch_execute(&format!("rollback; {begin}")).await?;
        collect(session, query, &columns, most).await?
    };
    session.batch_execute("rollback").await?;
    Ok(result)
}

/// Runs SQL and returns the first rows; the others are read and discarded.
async fn collect(
    session: &Client,
    sql: &str,
    columns: &[(String, Type)],
    most: usize,
) -> Result<SqlResult, tokio_postgres::Error> {
    let messages = session.simple_query_raw(sql).await?;
    pin_mut!(messages);
    let most = most.min(MAX_VALUES / columns.len().max(1));
    let (mut rows, mut truncated, mut row_count) = (Vec::new(), false, 0);
    while let Some(message) = messages.next().await {
        match message? {
            SimpleQueryMessage::Row(_) if rows.len() >= most => truncated = true,
            SimpleQueryMessage::Row(row) => rows.push(values(&row, columns)?),
            SimpleQueryMessage::CommandComplete(count) => row_count = count,
            _ => {}
        }
    }
    let row_count = row_count.max(rows.len() as u64); // for SHOW and EXPLAIN the server reports no count
    let columns = columns.iter().map(|(name, _)| name.clone()).collect();
    Ok(SqlResult { columns, rows, row_count, duration_ms: 0, truncated })
}

fn values(row: &SimpleQueryRow, columns: &[(String, Type)]) -> Result<Vec<Box<RawValue>>, tokio_postgres::Error> {
    columns.iter().enumerate().map(|(at, (_, kind))| Ok(value(row.try_get(at)?, kind))).collect()
}

/// Converts a value to JSON. Numbers and JSON keep their text, so no precision is lost; types that JSON
/// does not have become strings.
fn value(text: Option<&str>, kind: &Type) -> Box<RawValue> {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).ok();
    let written = match (text, kind) {
        (None, _) => None,
        (Some(text), &Type::BOOL) => raw(if text == "t" { "true" } else { "false" }),
        (
            Some(text),
            &(Type::INT2
            | Type::INT4
            | Type::INT8
            | Type::OID
            | Type::FLOAT4
            | Type::FLOAT8
            | Type::JSON
            | Type::JSONB),
        ) => raw(text), // NaN and Infinity are not JSON numbers
        _ => None,
    };
    let quoted = || text.and_then(|text| to_raw_value(text).ok());
    written.or_else(quoted).unwrap_or_default()
}

fn explain(query: &str, error: &tokio_postgres::Error, took: Duration) -> QueryError {
    const COPIES: &str = "COPY from or to the client is not supported; nothing was changed";
    if let Some(error) = error.as_db_error() {
        return match error.code().code() {
            "57014" if took >= STATEMENT_TIMEOUT => too_long(),
            code if code.starts_with("57P") => QueryError::Unreachable("the database ended the session; try again"),
            "42601" if count_statements(query) > 1 => QueryError::Statement(NOT_ONE_STATEMENT.to_owned()),
            code => {
                let hint = error.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
                QueryError::Statement(format!("{code}: {}{hint}", error.message()))
            }
        };
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if current.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::FileTooLarge) {
            let limit = crate::util::format::bytes(MAX_RESULT_BYTES);
            let why = format!("the result is larger than {limit}, so the statement was rolled back; add a LIMIT");
            return QueryError::Statement(why);
        }
        if current.is::<std::str::Utf8Error>() {
            return QueryError::Statement("a value is not valid UTF-8; do not change client_encoding".to_owned());
        }
        cause = current.source();
    }
    // The driver fails at the server's COPY response, without a specific error.
    if is_copy(query) {
        return QueryError::Statement(COPIES.to_owned());
    }
    QueryError::Unreachable("the connection to the database was lost; the statement may or may not have completed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_converted_to_json_without_loss() {
        let json = |text, kind| value(text, kind).get().to_owned();
        assert_eq!(json(None, &Type::INT4), "null");
        assert_eq!(json(Some("t"), &Type::BOOL), "true");
        assert_eq!(json(Some("-9223372036854775808"), &Type::INT8), "-9223372036854775808");
        assert_eq!(json(Some("1e+20"), &Type::FLOAT8), "1e+20");
        assert_eq!(json(Some("NaN"), &Type::FLOAT8), "\"NaN\"");
        assert_eq!(json(Some("0.10"), &Type::NUMERIC), "\"0.10\"");
        let large = "{\"a\": 123456789012345678901234567890.10}";
        assert_eq!(json(Some(large), &Type::JSONB), large);
        assert_eq!(json(Some("{1,2}"), &Type::INT4_ARRAY), "\"{1,2}\"");
    }
}
