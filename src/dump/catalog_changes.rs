//! Columns that system views have lost: a view of the source that names one cannot be created.

use super::tokens::{Token, Tokens};

/// Views, columns, and the major version that removed them (release notes of Postgres).
const REMOVED: [(&str, &[&str], u32); 8] = [
    (
        "pg_stat_bgwriter",
        &[
            "checkpoints_timed",
            "checkpoints_req",
            "checkpoint_write_time",
            "checkpoint_sync_time",
            "buffers_checkpoint",
            "buffers_backend",
            "buffers_backend_fsync",
        ],
        17,
    ),
    ("pg_stat_statements", &["blk_read_time", "blk_write_time"], 17),
    ("pg_stat_statements", &["total_time", "min_time", "max_time", "mean_time", "stddev_time"], 13),
    ("pg_class", &["relhasoids"], 12),
    ("pg_constraint", &["consrc"], 12),
    ("pg_attrdef", &["adsrc"], 12),
    ("pg_proc", &["proisagg", "proiswindow"], 11),
    ("pg_stat_activity", &["procpid", "current_query", "waiting"], 10),
];

/// The first removed column that the definition of a view names, as `view.column`.
pub(super) fn removed_column(text: &[u8]) -> Option<String> {
    let mut tokens = Tokens::new(text);
    if !tokens.next()?.is("CREATE") || !Tokens::new(text).take(6).any(|token| token.is("VIEW")) {
        return None;
    }
    let names: Vec<String> = tokens.take(20_000).filter_map(|token| Token::name(&token)).collect();
    let has = |name: &str| names.iter().any(|found| found == name);
    REMOVED.iter().filter(|(view, ..)| has(view)).find_map(|(view, columns, _)| {
        let column = columns.iter().find(|column| has(column))?;
        Some(format!("{view}.{column}"))
    })
}

/// The major version that removed a column, given as `view.column`.
pub fn removed_in(column: &str) -> Option<u32> {
    let (view, column) = column.split_once('.')?;
    let found = REMOVED.iter().find(|(name, columns, _)| *name == view && columns.contains(&column))?;
    Some(found.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_columns_are_found_in_views() {
        let view = b"CREATE VIEW public.bg AS SELECT pg_stat_bgwriter.checkpoints_timed AS n FROM pg_stat_bgwriter;";
        let column = removed_column(view).expect("a removed column");
        assert_eq!((column.as_str(), removed_in(&column)), ("pg_stat_bgwriter.checkpoints_timed", Some(17)));
        for text in [
            "CREATE VIEW v AS SELECT maxwritten_clean FROM pg_stat_bgwriter;",
            "CREATE TABLE pg_stat_bgwriter (checkpoints_timed int);",
            "CREATE VIEW v AS SELECT 'pg_class relhasoids';",
        ] {
            assert_eq!(removed_column(text.as_bytes()), None, "{text}");
        }
    }
}
