//! Reads the progress of a load from pg_restore and from the server.

use super::tracker::ProgressTracker;
use crate::server::import::Import;
use std::convert::Infallible;
use std::time::Duration;
use tokio_postgres::Client;

/// Pause between two polls of the server.
const PAUSE: Duration = Duration::from_secs(1);

/// Updates the tracker with the server's progress reports (Postgres, "Progress Reporting") until it is
/// dropped. Errors only suspend the updates. Rows are counted only in a database of the import's own
/// (`own`), because others have rows from elsewhere.
pub(crate) async fn poll_progress(import: &Import<'_>, database: &str, own: bool) -> Infallible {
    let mut session = None;
    loop {
        tokio::time::sleep(PAUSE).await;
        if session.is_none() {
            session = import.server.session(database).await.ok();
        }
        if let Some(open) = &session
            && poll(open, &import.tracker, own).await.is_err()
        {
            session = None;
        }
    }
}

async fn poll(session: &Client, tracker: &ProgressTracker, own: bool) -> Result<(), tokio_postgres::Error> {
    let sql = "select coalesce(sum(bytes_processed), 0)::bigint,
                   (coalesce(sum(tuples_processed), 0) + (select coalesce(sum(n_tup_ins), 0) from pg_stat_user_tables))::bigint,
                   (select coalesce(sum(blocks_done::float8 / nullif(blocks_total, 0)), 0)
                    from pg_stat_progress_create_index where datname = current_database()),
                   coalesce(array_agg(relid::regclass::text) filter (where relid <> 0), '{}')
               from pg_stat_progress_copy where datname = current_database()";
    let row = session.query_one(sql, &[]).await?;
    let number = |column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap_or_default();
    tracker.seen(number(0), row.get(3), if own { number(1) } else { 0 }, row.get(2));
    Ok(())
}

/// Reads a line of `pg_restore --verbose`, and returns whether to keep it for error messages. Parallel
/// restores report finished items, others only the start of each.
pub(crate) fn parse_restore_line(line: &str, parallel: bool, tracker: &ProgressTracker) -> bool {
    let Some(message) = line.strip_prefix("pg_restore: ") else { return true };
    if let Some(item) = message.strip_prefix("finished item ") {
        let (id, kind) = item.split_once(' ').unwrap_or((item, ""));
        match id.parse() {
            Ok(id) if kind.starts_with("TABLE DATA ") => tracker.table_is_done(id),
            Ok(_) if kind.starts_with("INDEX ") || kind.starts_with("CONSTRAINT ") => tracker.index_is_done(),
            _ => {}
        }
    } else if message.starts_with("processing data for table ") {
        if !parallel {
            tracker.table_begins();
        }
    } else if message.starts_with("creating INDEX ") || message.starts_with("creating CONSTRAINT ") {
        tracker.index_begins();
    }
    ["error: ", "warning: ", "fatal: ", "while ", "from TOC ", "detail: ", "hint: "]
        .iter()
        .any(|kept| message.starts_with(kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::import::progress::tracker::{Phase, TableData};

    #[test]
    fn pg_restore_output_is_counted_or_kept() {
        let tracker = ProgressTracker::default();
        tracker.enter(Phase::Loading, None);
        let table = |id| TableData { name: String::new(), id, size: 5 };
        tracker.expect(&[table(12), table(13)], false, true, 1);
        assert!(!parse_restore_line("pg_restore: processing data for table \"public.t\"", true, &tracker));
        assert!(!parse_restore_line("pg_restore: finished item 12 TABLE DATA t", true, &tracker));
        assert_eq!(tracker.progress().tables_done, Some(1));
        assert!(!parse_restore_line("pg_restore: creating INDEX \"public.i\"", true, &tracker));
        assert_eq!(tracker.progress().phase, "loading", "rows of another table are still loading");
        assert!(!parse_restore_line("pg_restore: finished item 13 TABLE DATA u", true, &tracker));
        assert!(!parse_restore_line("pg_restore: finished item 14 INDEX i", true, &tracker));
        let progress = tracker.progress();
        assert_eq!((progress.phase.as_str(), progress.indexes_done), ("indexing", Some(1)));
        for kept in ["pg_restore: error: could not", "pg_restore: from TOC entry 1; 2 3 T t o", "DETAIL:  x", ""] {
            assert!(parse_restore_line(kept, true, &tracker), "{kept}");
        }
    }
}
