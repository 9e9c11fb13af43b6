//! Who holds the lock that a dump of the source waited for.

use super::{Import, ImportFailure, ImportSource};
use crate::source::connect;
use tokio_postgres::SimpleQueryMessage;

/// The session of the source that has held an exclusive lock on a table for the longest time.
const HOLDER: &str =
    "select pg_catalog.format('%I.%I', n.nspname, c.relname), coalesce(nullif(a.application_name, ''), a.usename::text, '?'), a.pid::text,
        to_char(a.xact_start at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS \"UTC\"'), a.state,
        substring(a.query from '^\\s*(\\w+(?:\\s+\\w+)?)')
    from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
    join pg_catalog.pg_class c on c.oid = l.relation join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_database d on d.oid = l.database
    where l.mode = 'AccessExclusiveLock' and l.granted and c.oid >= 16384
      and d.datname = pg_catalog.current_database() and a.pid <> pg_catalog.pg_backend_pid()
    order by a.xact_start limit 1";

/// Adds the holder of a lock to the failure of a dump that waited for one.
pub(super) async fn explained(import: &Import<'_>, failure: ImportFailure) -> ImportFailure {
    let waited = failure.sqlstate().is_some_and(|code| ["57014", "55P03"].contains(&code));
    match (&import.source, waited) {
        (ImportSource::Url(url), true) => {
            let Ok(session) = connect::connect(url, import.allow_private_sources).await else { return failure };
            match session.client.simple_query(HOLDER).await.as_deref() {
                Ok([.., SimpleQueryMessage::Row(row), SimpleQueryMessage::CommandComplete(_)]) => {
                    let value = |column: usize| row.get(column).unwrap_or("?");
                    failure.with_fact(&format!(
                        "{} is locked by {} (pid {}, {}, transaction since {}, last statement: {})",
                        value(0),
                        value(1),
                        value(2),
                        value(4),
                        value(3),
                        value(5)
                    ))
                }
                _ => failure,
            }
        }
        _ => failure,
    }
}
