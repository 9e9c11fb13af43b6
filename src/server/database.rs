//! Looking into a project's database for its owner: extensions, and statements of theirs.

use super::importer::TargetServer;
use crate::preflight::ALLOWED_EXTENSIONS;
use crate::wire::{ProjectExtension, SqlRequest, SqlResult};
use futures_util::{StreamExt, pin_mut};
use serde_json::Value;
use std::io;
use std::time::{Duration, Instant};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

/// How long a statement may take.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// The same with what is around it; the server itself ends it before.
const CALL_TIMEOUT: Duration = Duration::from_secs(40);
/// All that a statement may give, in bytes: the driver holds a whole row in memory.
const LONGEST_RESULT: u64 = 32 << 20;
/// Rows that come back unless fewer or more are asked for, and the most that can be.
const USUAL_ROWS: u32 = 1000;
const MOST_ROWS: u32 = 10_000;

/// Why a statement gives nothing.
#[derive(Debug)]
pub(super) enum QueryError {
    /// The statement, or its result, is not fit; in words for the caller.
    Statement(String),
    /// It took too long.
    TooLong(String),
    /// The database cannot be reached just now.
    Unreachable(String),
}

/// The extensions that a project has or can have, by name.
pub(super) async fn extensions(server: &TargetServer, database: &str) -> anyhow::Result<Vec<ProjectExtension>> {
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

/// Who runs a statement, and where.
pub(super) struct Login<'a> {
    pub(super) database: &'a str,
    pub(super) role: &'a str,
    pub(super) password: &'a str,
}

/// Runs one statement as the project's own role.
pub(super) async fn query(
    server: &TargetServer,
    login: &Login<'_>,
    request: &SqlRequest,
) -> Result<SqlResult, QueryError> {
    if request.query.trim().is_empty() || request.query.contains('\0') {
        return Err(QueryError::Statement("query must be one SQL statement".to_owned()));
    }
    let work = async {
        let place = server.place.with(|config| {
            config.user(login.role).password(login.password).dbname(login.database).application_name("capydb sql");
            config.options(format!("-c statement_timeout={}", STATEMENT_TIMEOUT.as_millis()));
        });
        let connected = place.connect_limited(LONGEST_RESULT).await;
        let (session, connection) = connected.map_err(|error| QueryError::Unreachable(format!("{error:#}")))?;
        let started = Instant::now();
        let most = request.max_rows.unwrap_or(USUAL_ROWS).min(MOST_ROWS) as usize;
        let result = match run(&session, request, most).await {
            Ok(result) => result,
            Err(error) if error.is_closed() => {
                drop(session);
                return Err(match connection.await {
                    Ok(Err(why)) => explain(&why),
                    _ => explain(&error),
                });
            }
            Err(error) => return Err(explain(&error)),
        };
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(SqlResult { duration_ms, ..result })
    };
    match tokio::time::timeout(CALL_TIMEOUT, work).await {
        Ok(result) => result,
        Err(_) => Err(too_long()),
    }
}

fn too_long() -> QueryError {
    QueryError::TooLong(format!("the statement took longer than {} seconds", STATEMENT_TIMEOUT.as_secs()))
}

async fn run(session: &Client, request: &SqlRequest, most: usize) -> Result<SqlResult, tokio_postgres::Error> {
    const BEGIN: &str = "begin transaction read only";
    let query = &request.query;
    if request.read_only {
        session.batch_execute(BEGIN).await?;
    }
    // Only one statement can be prepared, so nothing ends the transaction and goes on behind it.
    let statement = session.prepare(query).await?;
    let columns: Vec<(String, Type)> =
        statement.columns().iter().map(|column| (column.name().to_owned(), column.type_().clone())).collect();
    if !request.read_only {
        return collect(session, query, &columns, most).await;
    }
    // Of what only reads the server makes no more rows than are wanted; what is no query at all
    // (SHOW, EXPLAIN) has no cursor.
    let declare = format!("declare capydb_rows no scroll cursor for {query}");
    let result = if session.batch_execute(&declare).await.is_ok() {
        collect(session, &format!("fetch {} from capydb_rows", most + 1), &columns, most).await?
    } else {
        session.batch_execute(&format!("rollback; {BEGIN}")).await?;
        collect(session, query, &columns, most).await?
    };
    session.batch_execute("rollback").await?;
    Ok(result)
}

/// Runs SQL and keeps its first rows. The others are read and dropped: a statement that is broken
/// off would take back what it has written.
async fn collect(
    session: &Client,
    sql: &str,
    columns: &[(String, Type)],
    most: usize,
) -> Result<SqlResult, tokio_postgres::Error> {
    let messages = session.simple_query_raw(sql).await?;
    pin_mut!(messages);
    let (mut rows, mut truncated, mut changed) = (Vec::new(), false, 0);
    while let Some(message) = messages.next().await {
        match message? {
            SimpleQueryMessage::Row(_) if rows.len() == most => truncated = true,
            SimpleQueryMessage::Row(row) => rows.push(values(&row, columns)),
            SimpleQueryMessage::CommandComplete(count) => changed = count,
            _ => {}
        }
    }
    let row_count = if columns.is_empty() { changed } else { rows.len() as u64 };
    let columns = columns.iter().map(|(name, _)| name.clone()).collect();
    Ok(SqlResult { columns, rows, row_count, duration_ms: 0, truncated })
}

fn values(row: &SimpleQueryRow, columns: &[(String, Type)]) -> Vec<Value> {
    columns.iter().enumerate().map(|(at, (_, kind))| value(row.get(at), kind)).collect()
}

/// A value as JSON, where JSON has such values and loses nothing of it.
fn value(text: Option<&str>, kind: &Type) -> Value {
    let Some(text) = text else { return Value::Null };
    let parsed = match *kind {
        Type::BOOL => Some(Value::Bool(text == "t")),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID | Type::FLOAT4 | Type::FLOAT8 | Type::JSON | Type::JSONB => {
            serde_json::from_str(text).ok() // NaN and Infinity are no numbers of JSON
        }
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn explain(error: &tokio_postgres::Error) -> QueryError {
    if let Some(said) = error.as_db_error() {
        if said.code().code() == "57014" {
            return too_long();
        }
        if said.code().code().starts_with("57P") {
            return QueryError::Unreachable("the database ended the session; try again".to_owned());
        }
        let hint = said.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
        return QueryError::Statement(format!("{}: {}{hint}", said.code().code(), said.message()));
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if current.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::FileTooLarge) {
            let limit = crate::preflight::bytes(LONGEST_RESULT);
            let why = format!("the statement gives more than {limit}; ask for fewer rows with LIMIT");
            return QueryError::Statement(why);
        }
        cause = current.source();
    }
    if error.to_string().contains("unexpected message") {
        return QueryError::Statement("COPY from or to the client cannot be done here".to_owned());
    }
    QueryError::Unreachable("the connection to the database was lost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_become_json_without_loss() {
        assert_eq!(value(None, &Type::INT4), Value::Null);
        assert_eq!(value(Some("t"), &Type::BOOL), json!(true));
        assert_eq!(value(Some("-9223372036854775808"), &Type::INT8), json!(i64::MIN));
        assert_eq!(value(Some("1.5"), &Type::FLOAT8), json!(1.5));
        assert_eq!(value(Some("NaN"), &Type::FLOAT8), json!("NaN"));
        assert_eq!(value(Some("0.10"), &Type::NUMERIC), json!("0.10"));
        assert_eq!(value(Some("{\"a\": [1]}"), &Type::JSONB), json!({ "a": [1] }));
        assert_eq!(value(Some("{1,2}"), &Type::INT4_ARRAY), json!("{1,2}"));
    }
}
