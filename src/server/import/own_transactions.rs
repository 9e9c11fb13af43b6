//! A script's own transactions, which run inside the import's: does at each `COMMIT` of the script what
//! the server would have done.

use crate::dump::statement::{CommitAction, action_on_commit, defers_constraints, object_name};
use crate::dump::treatment::Treatment;
use postgres_protocol::escape::{escape_identifier, escape_literal};

/// SQL that checks deferred constraints and defers those again that are initially deferred. It leaves out
/// temporary tables, where the import has a constraint of its own.
const CHECK_DEFERRED: &str = "do $capydb$ declare item record; begin \
    for item in select n.nspname, c.conname, c.condeferred from pg_catalog.pg_constraint c \
        join pg_catalog.pg_namespace n on n.oid = c.connamespace \
        where c.condeferrable and n.oid operator(pg_catalog.<>) pg_catalog.pg_my_temp_schema() loop \
        execute pg_catalog.format('set constraints %I.%I immediate', item.nspname, item.conname); \
        if item.condeferred then \
            execute pg_catalog.format('set constraints %I.%I deferred', item.nspname, item.conname); \
        end if; \
    end loop; end $capydb$;";

/// The present transaction of a script.
#[derive(Debug, Default)]
pub(super) struct OwnTransaction {
    pub(super) is_open: bool,
    /// The settings that it has changed with `SET LOCAL`.
    local_settings: Vec<String>,
    /// Temporary tables of the script that change at each commit.
    temporary_tables: Vec<(String, CommitAction)>,
    /// The script has constraints that can be deferred.
    has_deferrable: bool,
}

impl OwnTransaction {
    /// Follows a statement that runs. Returns SQL to run before it.
    pub(super) fn observe(&mut self, treatment: &Treatment, text: &[u8]) -> Option<String> {
        self.has_deferrable |= defers_constraints(text);
        if let (Some(action), Some(name)) = (action_on_commit(text), object_name(text)) {
            self.temporary_tables.push((name, action));
        }
        let Treatment::SetLocal(name) = treatment else { return None };
        if self.local_settings.contains(name) {
            return None;
        }
        self.local_settings.push(name.clone());
        Some(format!(
            "select pg_catalog.set_config('{}', pg_catalog.current_setting({}, true), true);",
            saved(self.local_settings.len()),
            escape_literal(name)
        ))
    }

    /// SQL for the script's `COMMIT`.
    pub(super) fn commit(&mut self) -> String {
        let mut sql = Vec::new();
        if self.has_deferrable {
            sql.push(CHECK_DEFERRED.to_owned());
        }
        for (number, name) in self.local_settings.drain(..).enumerate() {
            let (name, saved) = (escape_literal(&name), saved(number + 1));
            sql.push(format!("select pg_catalog.set_config({name}, pg_catalog.current_setting('{saved}'), false);"));
        }
        for (name, action) in &self.temporary_tables {
            let name = escape_identifier(name);
            sql.push(match action {
                CommitAction::Drop => format!("drop table if exists pg_temp.{name};"),
                CommitAction::DeleteRows => format!("delete from pg_temp.{name};"),
            });
        }
        self.temporary_tables.retain(|(_, action)| *action == CommitAction::DeleteRows);
        self.is_open = false;
        sql.concat()
    }
}

/// The setting that keeps a value until the script's `COMMIT`.
fn saved(number: usize) -> String {
    format!("capydb.saved_{number}")
}
