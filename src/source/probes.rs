//! Further queries about risks that the catalogs of a source only hint at. Each is bounded; a query that
//! fails or takes too long finds nothing.

use super::connect::Session;
use super::risks::{ExtensionTable, SourceRisks, WideTable};
use std::time::Duration;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

/// Time for all queries together.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Length of a row as text from which on a dump may fail, in bytes: Postgres buffers a row in at most 1 GiB.
const MAX_ROW: u64 = 1_000_000_000;

/// Maximum number of tables of a kind to query.
const MAX_TABLES: usize = 20;

/// Keeps of the suspected tables those with a problem.
pub(super) async fn probe(session: &Session, risks: SourceRisks) -> SourceRisks {
    let suspected = risks.clone();
    tokio::time::timeout(TIMEOUT, probe_all(session, suspected)).await.unwrap_or(SourceRisks {
        extension_tables: Vec::new(),
        configuration_tables: Vec::new(),
        wide_tables: Vec::new(),
        text_columns: Vec::new(),
        ..risks
    })
}

async fn probe_all(session: &Session, risks: SourceRisks) -> SourceRisks {
    let (mut extension_tables, mut configuration_tables, mut wide_tables) = (Vec::new(), Vec::new(), Vec::new());
    let mut text_columns = Vec::new();
    for table in risks.extension_tables.into_iter().take(MAX_TABLES) {
        let rows = number(session, &format!("select count(*) from only {}", table.name)).await;
        extension_tables.extend(rows.filter(|rows| *rows > 0).map(|rows| ExtensionTable { rows, ..table }));
    }
    for table in risks.configuration_tables.into_iter().take(MAX_TABLES) {
        let rows = number(session, &changed_rows(&table)).await;
        configuration_tables.extend(rows.filter(|rows| *rows > 0).map(|rows| ExtensionTable { rows, ..table }));
    }
    for table in risks.wide_tables {
        let longest = number(session, &format!("select max({}) from only {}", table.expression, table.name)).await;
        wide_tables.extend(longest.filter(|longest| *longest > MAX_ROW).map(|longest| WideTable { longest, ..table }));
    }
    for table in risks.text_columns {
        if !is_utf8(session, &table).await {
            text_columns.push(table);
        }
    }
    SourceRisks { extension_tables, configuration_tables, wide_tables, text_columns, ..risks }
}

/// Counts the rows that pg_dump leaves out because the extension brings them, although they were written
/// after the extension was created.
fn changed_rows(table: &ExtensionTable) -> String {
    let condition = table.condition.as_deref().unwrap_or_default().trim_start();
    let condition =
        condition.get(..5).filter(|word| word.eq_ignore_ascii_case("where")).map_or("true", |_| &condition[5..]);
    let extension = table.extension.replace('\'', "''");
    format!(
        "select count(*) from only {} r
         where not coalesce(({condition}), false)
           and age(r.xmin) < (select age(xmin) from pg_extension where extname = '{extension}')",
        table.name
    )
}

/// Whether the server can read a table's text as UTF-8. True if that could not be found out.
async fn is_utf8(session: &Session, table: &WideTable) -> bool {
    let (text, name) = (&table.expression, &table.name);
    let sql = format!("select count(convert_from(convert_to({text}, 'SQL_ASCII'), 'UTF8')) from only {name}");
    let answer = session.client.simple_query(&format!("begin read only; {sql}; commit")).await;
    let Err(error) = answer else { return true };
    let _ = session.client.simple_query("rollback").await; // the connection may be lost
    error.code() != Some(&SqlState::CHARACTER_NOT_IN_REPERTOIRE)
}

/// The number that a query returns, in a read-only transaction.
async fn number(session: &Session, sql: &str) -> Option<u64> {
    let script = format!("begin read only; {sql}; commit");
    let answer = session.client.simple_query(&script).await;
    if answer.is_err() {
        session.client.simple_query("rollback").await.ok()?;
    }
    answer.ok()?.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    })
}

/// The databases of these names that have tables. Connects to each.
pub(super) async fn databases_with_tables(
    url: &super::SourceUrl,
    allow_private: bool,
    names: &[String],
) -> Vec<String> {
    const TABLES: &str =
        "select count(*) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'";
    let mut found = Vec::new();
    let search = async {
        for name in names {
            let Ok(session) = super::connect::connect(&url.with_database(name), allow_private).await else { continue };
            if number(&session, TABLES).await.is_some_and(|tables| tables > 0) {
                found.push(name.clone());
            }
        }
    };
    let _ = tokio::time::timeout(TIMEOUT, search).await; // what was found until then is enough
    found
}
