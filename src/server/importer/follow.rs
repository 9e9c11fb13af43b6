//! Learning from pg_restore and from the server how far a load is.

use super::Import;
use super::meter::Meter;
use std::convert::Infallible;
use std::time::Duration;
use tokio_postgres::Client;

/// Pause between two questions to the server.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps the meter up to date with what the server says (Postgres, "Progress Reporting"),
/// for as long as it is polled. What cannot be learned is not shown.
/// Rows are only those of this import in a database that is its own.
pub(super) async fn follow(import: &Import<'_>, database: &str, own: bool) -> Infallible {
    let mut session = None;
    loop {
        tokio::time::sleep(PAUSE).await;
        if session.is_none() {
            session = import.server.session(database).await.ok();
        }
        if let Some(open) = &session
            && look(open, &import.meter, own).await.is_err()
        {
            session = None;
        }
    }
}

async fn look(session: &Client, meter: &Meter, own: bool) -> Result<(), tokio_postgres::Error> {
    let sql = "select coalesce(sum(bytes_processed), 0)::bigint,
                   (coalesce(sum(tuples_processed), 0) + (select coalesce(sum(n_tup_ins), 0) from pg_stat_user_tables))::bigint,
                   (select coalesce(sum(blocks_done::float8 / nullif(blocks_total, 0)), 0)
                    from pg_stat_progress_create_index where datname = current_database()),
                   coalesce(array_agg(relid::regclass::text) filter (where relid <> 0), '{}')
               from pg_stat_progress_copy where datname = current_database()";
    let row = session.query_one(sql, &[]).await?;
    let number = |column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap_or_default();
    meter.seen(number(0), row.get(3), if own { number(1) } else { 0 }, row.get(2));
    Ok(())
}

/// Takes a line of `pg_restore --verbose` and says whether it is worth keeping: what it says
/// of its progress is not. With several hands it says which item is finished, with one only
/// what it begins.
pub(super) fn restorer_said(line: &str, parallel: bool, meter: &Meter) -> bool {
    let Some(said) = line.strip_prefix("pg_restore: ") else { return true };
    if let Some(item) = said.strip_prefix("finished item ") {
        let (id, kind) = item.split_once(' ').unwrap_or((item, ""));
        match id.parse() {
            Ok(id) if kind.starts_with("TABLE DATA ") => meter.table_is_done(id),
            Ok(_) if kind.starts_with("INDEX ") || kind.starts_with("CONSTRAINT ") => meter.index_is_done(),
            _ => {}
        }
    } else if said.starts_with("processing data for table ") {
        if !parallel {
            meter.table_begins();
        }
    } else if said.starts_with("creating INDEX ") || said.starts_with("creating CONSTRAINT ") {
        meter.index_begins();
    }
    ["error: ", "warning: ", "fatal: ", "while ", "from TOC ", "detail: ", "hint: "]
        .iter()
        .any(|kept| said.starts_with(kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::importer::meter::{Phase, TableData};

    #[test]
    fn what_the_restorer_says_is_counted_or_kept() {
        let meter = Meter::default();
        meter.enter(Phase::Loading, None);
        let table = |id| TableData { name: String::new(), id, size: 5 };
        meter.expect(&[table(12), table(13)], false, true, 1);
        assert!(!restorer_said("pg_restore: processing data for table \"public.t\"", true, &meter));
        assert!(!restorer_said("pg_restore: finished item 12 TABLE DATA t", true, &meter));
        assert_eq!(meter.progress().tables_done, Some(1));
        assert!(!restorer_said("pg_restore: creating INDEX \"public.i\"", true, &meter));
        assert_eq!(meter.progress().phase, "loading", "rows of another table are still on their way");
        assert!(!restorer_said("pg_restore: finished item 13 TABLE DATA u", true, &meter));
        assert!(!restorer_said("pg_restore: finished item 14 INDEX i", true, &meter));
        let progress = meter.progress();
        assert_eq!((progress.phase.as_str(), progress.indexes_done), ("indexing", Some(1)));
        for kept in ["pg_restore: error: could not", "pg_restore: from TOC entry 1; 2 3 T t o", "DETAIL:  x", ""] {
            assert!(restorer_said(kept, true, &meter), "{kept}");
        }
    }
}
