//! Columns that system views have lost: a view of the source that names one cannot be created.

use super::tokens::{Token, Tokens};

/// Views, columns, and the major version that removed them (release notes of Postgres).
const REMOVED: [(&str, &[&str], u32); 11] = [
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
    ("pg_stat_progress_vacuum", &["max_dead_tuples", "num_dead_tuples"], 17),
    ("pg_collation", &["colliculocale"], 17),
    ("pg_database", &["daticulocale"], 17),
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
    // The body of a function with `BEGIN ATOMIC` is parsed when it is created.
    let is_view = Tokens::new(text).take(6).any(|token| token.is("VIEW"));
    if !tokens.next()?.is("CREATE") || !(is_view || Tokens::new(text).any(|token| token.is("ATOMIC"))) {
        return None;
    }
    let tokens: Vec<Token> = tokens.take(20_000).collect();
    let has = |name: &str| tokens.iter().any(|token| token.name().is_some_and(|found| found == name));
    REMOVED.iter().filter(|(view, ..)| has(view)).find_map(|(view, columns, _)| {
        let column = columns.iter().find(|column| reads_column(&tokens, view, column))?;
        Some(format!("{view}.{column}"))
    })
}

/// Whether a column of a view is read: under the view's name or an alias of it, or without a table.
fn reads_column(tokens: &[Token], view: &str, column: &str) -> bool {
    let is = |token: &Token, name: &str| token.name().is_some_and(|found| found == name);
    let is_alias = |name: &Token| {
        tokens
            .windows(3)
            .any(|three| is(&three[0], view) && (three[1] == *name || (three[1].is("AS") && three[2] == *name)))
    };
    (0..tokens.len()).filter(|at| is(&tokens[*at], column)).any(|at| {
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
        match before(1) {
            Some(Token::Sign('.')) => before(2).is_some_and(|table| is(table, view) || is_alias(table)),
            // The name of a result.
            Some(token) => !token.is("AS"),
            None => false,
        }
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
        let alias = b"CREATE VIEW v AS SELECT s.total_time FROM public.pg_stat_statements s;";
        assert_eq!(removed_column(alias).as_deref(), Some("pg_stat_statements.total_time"));
        let column = removed_column(view).expect("a removed column");
        assert_eq!((column.as_str(), removed_in(&column)), ("pg_stat_bgwriter.checkpoints_timed", Some(17)));
        for text in [
            "CREATE VIEW v AS SELECT maxwritten_clean FROM pg_stat_bgwriter;",
            "CREATE TABLE pg_stat_bgwriter (checkpoints_timed int);",
            "CREATE VIEW v AS SELECT s.total_exec_time AS total_time, o.waiting FROM pg_stat_statements s, pg_stat_activity a, own o;",
            "CREATE VIEW v AS SELECT 'pg_class relhasoids';",
        ] {
            assert_eq!(removed_column(text.as_bytes()), None, "{text}");
        }
    }
}
