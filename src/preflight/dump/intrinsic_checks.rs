//! Checks of a dump that do not depend on its target.

use super::places;
use crate::dump::archive::Compression;
use crate::dump::encoding::Encoding;
use crate::dump::{Contents, Finding, Format};
use crate::preflight::live::row_security_of;
use crate::preflight::{check, fixed, names, plural, sql_name, with_evidence};
use crate::util::format::major;
use crate::wire::{Check, CheckStatus};
use CheckStatus::{Fail, Pass, Warn};
use std::collections::BTreeSet;

pub(super) fn complete(found: &Contents) -> Check {
    let zero = found.seen(Finding::ZeroByte).flat_map(|(_, seen)| seen.first.clone()).collect::<Vec<_>>();
    if !zero.is_empty() {
        let damaged = check("dump_complete", Fail, "the file is damaged: it contains zero bytes".into());
        return with_evidence(fixed(damaged, "copy the file again, or create a new dump"), zero);
    }
    match &found.truncated {
        Some(why) => fixed(
            check("dump_complete", Fail, format!("the dump is truncated: {why}")),
            "copy the file again, or create a new dump; a script must end with a semicolon",
        ),
        None => check("dump_complete", Pass, "the dump is complete".into()),
    }
}

/// Text must be in the encoding that the dump declares; a dump of `SQL_ASCII` must be UTF-8. `is_named`:
/// the user has named the encoding.
pub(super) fn text_in_declared_encoding(found: &Contents, is_named: bool) -> Check {
    let name = "text_in_declared_encoding";
    let declared = if found.encoding.is_empty() { "UTF8" } else { &found.encoding };
    let ascii = Encoding::parse(declared) == Encoding::SqlAscii;
    let wanted = if ascii { "UTF8" } else { declared };
    if Encoding::parse(declared) == Encoding::Unknown {
        let what = check(name, Fail, format!("declared {declared}, which is not supported"));
        return fixed(what, "dump again in UTF-8: pg_dump --encoding=UTF8");
    }
    let Some((place, what)) = &found.invalid_text else {
        return match (found.format, ascii) {
            (Format::Plain, true) => check(name, Pass, "declared SQL_ASCII; all text is valid UTF8".into()),
            (Format::Plain, false) => check(name, Pass, format!("all text is valid {declared}")),
            // Custom archives were read; only lz4 is not decompressed here.
            (Format::Custom, true) if found.compression != Some(Compression::Lz4) => {
                check(name, Pass, "declared SQL_ASCII; all text is valid UTF8".into())
            }
            (_, true) => fixed(
                check(name, Warn, "declared SQL_ASCII: the import fails if any text is not valid UTF8".into()),
                "if the text has another encoding, name it: --source-encoding WIN1252 (or LATIN1, …)",
            ),
            (_, false) => check(name, Pass, format!("declared {declared}")),
        };
    };
    let declares = if ascii { " (the dump declares SQL_ASCII)" } else { "" };
    let failed = check(name, Fail, format!("{place}: {what} is not valid {wanted}{declares}"));
    let fix = if is_named {
        "try another --source-encoding"
    } else if ascii || found.encoding.is_empty() {
        "name the encoding that the text really has: --source-encoding WIN1252 (or LATIN1, WIN1251, EUC_JP, …)"
    } else {
        "fix the row in the source; if its text has another encoding, name that: --source-encoding"
    };
    fixed(failed, fix)
}

/// Indexes and materialized views are built without a search path, so functions must not need one.
pub(in crate::preflight) fn functions_find_their_tables(found: &Contents) -> Check {
    let name = "functions_find_their_tables";
    let calls: Vec<_> = found.path_dependent_calls().collect();
    if calls.is_empty() {
        return check(name, Pass, "no index or materialized view needs a search path".into());
    }
    let list: BTreeSet<String> = calls.iter().map(|call| format!("{} ({})", call.name, call.found)).collect();
    let what = format!(
        "indexes or materialized views call functions that name tables or functions without a schema: {}",
        names(list.iter().map(String::as_str))
    );
    let functions: BTreeSet<&str> = calls.iter().filter(|call| !call.is_view).map(|call| call.name).collect();
    let alter = functions.iter().map(|name| alter_function(name));
    let views: BTreeSet<&str> = calls.iter().filter(|call| call.is_view).map(|call| call.name).collect();
    let views = views.iter().map(|name| format!("give the table in the query of ts_stat in {name} its schema;"));
    let fix = format!("in the source: {} then dump again", alter.chain(views).collect::<Vec<_>>().join(" "));
    let evidence = calls.iter().take(5).map(|call| format!("{}: {}", call.place, call.caller)).collect();
    with_evidence(fixed(check(name, Fail, what), fix), evidence)
}

/// Gives a function a search path with its own schema. Names do not say in which other schema they are.
fn alter_function(name: &str) -> String {
    let own = name.split_once('.').map(|(schema, _)| schema).filter(|schema| *schema != "public");
    let own = own.map_or_else(String::new, |schema| format!("{}, ", sql_name(schema)));
    format!("ALTER FUNCTION {} SET search_path = {own}public, pg_temp;", sql_name(name))
}

/// Warns of row-level security, which does not apply to the owner of a table.
pub(super) fn row_security(found: &Contents) -> Check {
    let forced: Vec<&str> = found.seen(Finding::ForcedRowSecurity).map(|(table, _)| table).collect();
    let tables = found.seen(Finding::RowSecurity).map(|(table, _)| table);
    let tables: Vec<String> = tables.filter(|table| !forced.contains(table)).map(str::to_owned).collect();
    row_security_of(&tables, &found.policy_roles)
}

/// Shows what the import will skip, by kind.
pub(super) fn skipped_statements(found: &Contents) -> Check {
    let name = "skipped_statements";
    if found.left_out.is_empty() {
        return check(name, Pass, "nothing is skipped".into());
    }
    let list = found.left_out.iter().map(|(kind, (count, reason))| format!("{count} × {kind}: {reason}"));
    check(name, Pass, format!("skipped: {}", list.collect::<Vec<_>>().join("; ")))
}

/// Every row of a `COPY` must have as many fields as the statement has columns.
pub(super) fn rows_match_columns(found: &Contents) -> Check {
    let name = "rows_match_columns";
    let Some((place, what)) = &found.invalid_row else {
        return check(name, Pass, "all rows checked have the columns of their table".into());
    };
    let failed = check(name, Fail, format!("{place}: a row with {what}"));
    fixed(failed, "another program may have written into the dump: remove the line, or dump again with pg_dump -f FILE")
}

/// Warns if rows come without the keys and indexes that pg_dump writes after them.
pub(super) fn sections_present(found: &Contents) -> Check {
    let name = "sections_present";
    let by_pg_dump = found.by_pg_dump || found.format != Format::Plain;
    let keys =
        ["indexes", "constraints", "foreign keys", "triggers"].iter().map(|kind| found.number(kind)).sum::<u64>();
    let suspicious = found.tables_for_data >= 2 || found.number("sequences") > 0;
    if !by_pg_dump || keys > 0 || found.tables_for_data == 0 || found.tables_with_data == 0 || !suspicious {
        return check(name, Pass, "no section is missing".into());
    }
    let what = check(name, Warn, "tables and rows, but no key, index or trigger".into());
    fixed(what, "if the tables have keys, dump again without --section (pre-data and data alone lack them)")
}

pub(super) fn format_supported(found: &Contents) -> Check {
    let name = "dump_format_supported";
    match found.format {
        Format::Custom | Format::Plain => check(name, Pass, format!("{} format", found.format.name())),
        Format::Tar | Format::Directory => {
            let format = found.format.name();
            let what = check(
                name,
                Fail,
                format!("{format} format; only custom format (pg_dump -Fc) and plain SQL can be uploaded"),
            );
            fixed(
                what,
                format!(
                    "dump again with pg_dump -Fc, or convert to SQL: pg_restore --no-owner --no-privileges -f app.sql {}",
                    match found.format {
                        Format::Tar => "FILE",
                        _ => "DIRECTORY",
                    }
                ),
            )
        }
    }
}

/// Shows the versions of pg_dump and of the archive; warns if pg_dump is older than its server.
pub(super) fn tool_compatible(found: &Contents) -> Check {
    let name = "dump_tool_compatible";
    let tool = crate::util::format::printable(&found.dump_version, 60);
    let Some(version) = major(&found.dump_version) else {
        return check(name, Pass, "the dump does not name a pg_dump version".into());
    };
    if major(&found.server_version).is_some_and(|server| server > version) {
        return check(name, Warn, format!("pg_dump {tool} is older than the dumped server"));
    }
    let archive =
        found.archive_version.map_or_else(String::new, |(major, minor)| format!(", archive version {major}.{minor}"));
    check(name, Pass, format!("pg_dump {tool}{archive}"))
}

/// Fails for dumps of a whole server, and for statements that affect the server.
/// `unfiltered`: psql would also run statements about roles, `CREATE DATABASE` and `\connect`.
pub(super) fn single_database(found: &Contents, unfiltered: bool) -> Check {
    let name = "single_database";
    let connects = || found.seen(Finding::PsqlCommand).any(|(command, _)| ["\\connect", "\\c"].contains(&command));
    // With `--roles-only`, pg_dumpall writes no databases.
    let whole_server = found.whole_server && (found.databases > 0 || connects());
    if unfiltered && found.databases > 0 && !whole_server {
        let what = check(name, Fail, "the script has CREATE DATABASE, which psql would run".into());
        return fixed(what, "dump again without --create (-C)");
    }
    let roles = found.times(Finding::Role);
    if roles > 0 && creates_nothing(found) {
        let what = check(name, Fail, "the dump contains only roles, which are not imported".into());
        let fix = "import the dump of the database: pg_dump -Fc -f app.dump \"$DATABASE_URL\"";
        return with_evidence(fixed(what, fix), places(found.seen(Finding::Role)));
    }
    let affecting = found.times(Finding::ServerObject) + if unfiltered { roles } else { 0 };
    if affecting == 0 && !whole_server {
        return check(name, Pass, "one database".into());
    }
    let what = if whole_server {
        "pg_dumpall script: roles and all databases of a server".to_owned()
    } else {
        format!(
            "{} the whole server instead of one database",
            plural(affecting, "statement affects", "statements affect")
        )
    };
    let fix = "dump one database without --create (-C): pg_dump -Fc -f app.dump \"postgres://user@host/database\"";
    let all = found.seen(Finding::ServerObject).chain(found.seen(Finding::Role));
    with_evidence(fixed(check(name, Fail, what), fix), places(all))
}

/// Whether a dump has no object and no rows, and no code that could create some.
fn creates_nothing(found: &Contents) -> bool {
    let rows = found.tables_with_data + found.times(Finding::Inserts);
    found.objects.is_empty() && found.tables_for_data + rows + found.code_blocks == 0
}

pub(super) fn psql_commands(found: &Contents) -> Check {
    let name = "no_psql_commands";
    if found.format != Format::Plain {
        return check(name, Pass, "no psql commands in an archive".into());
    }
    if found.times(Finding::PsqlCommand) == 0 {
        return check(name, Pass, "only those that pg_dump writes".into());
    }
    let commands = names(found.seen(Finding::PsqlCommand).map(|(command, _)| command));
    let what = check(name, Fail, format!("psql commands that are not allowed: {commands}"));
    let fix = "remove these lines, or dump again with pg_dump";
    with_evidence(fixed(what, fix), places(found.seen(Finding::PsqlCommand)))
}

/// Fails for statements that access files or programs on the server, or interfere with the import.
pub(super) fn refused(found: &Contents) -> Check {
    let name = "no_server_access";
    let all = || found.seen(Finding::ServerFile).chain(found.seen(Finding::Refused));
    if all().next().is_none() {
        return check(name, Pass, "no access to server files or programs".into());
    }
    let what = if found.times(Finding::ServerFile) > 0 {
        "COPY with a file or program on the server".to_owned()
    } else {
        names(found.seen(Finding::Refused).map(|(why, _)| why))
    };
    let fix = "remove these statements, or dump again with pg_dump, which writes COPY … FROM stdin";
    with_evidence(fixed(check(name, Fail, what), fix), places(all()))
}

pub(super) fn foreign_servers(found: &Contents) -> Check {
    let name = "no_foreign_servers";
    let all = || found.seen(Finding::Foreign).chain(found.seen(Finding::UserMapping));
    if all().next().is_none() {
        return check(name, Pass, "none".into());
    }
    let count = found.times(Finding::Foreign) + found.times(Finding::UserMapping);
    let what = plural(count, "foreign-data wrapper object", "foreign-data wrapper objects");
    let fix =
        "their extension is not available; exclude them: pg_dump --exclude-schema, --exclude-extension (since 17)";
    with_evidence(fixed(check(name, Fail, what), fix), places(all()))
}

pub(super) fn large_objects(found: &Contents) -> Check {
    let name = "large_objects";
    let times = found.times(Finding::LargeObject);
    if times == 0 {
        return check(name, Pass, "none".into());
    }
    let what = format!(
        "large objects in {}, imported one by one",
        plural(times, "entry or statement", "entries or statements")
    );
    let fix = "expect a slower import; exclude unused objects: pg_dump --no-large-objects (--no-blobs before 16)";
    with_evidence(fixed(check(name, Warn, what), fix), places(found.seen(Finding::LargeObject)))
}

pub(super) fn schema_and_data(found: &Contents, recreate: bool) -> Check {
    let name = "schema_and_data";
    let rows = found.tables_with_data + found.times(Finding::Inserts);
    if found.tables_for_data == 0 && rows > 0 {
        // Code may create the tables in ways that are not recognized.
        let status = if recreate && found.code_blocks == 0 { Fail } else { Warn };
        let what = check(name, status, "data only: rows but no tables".into());
        return fixed(what, "import without --recreate into a database that has the tables, or dump schema and data");
    }
    if found.tables_for_data > 0 && rows == 0 {
        let what =
            check(name, Warn, format!("schema only: {} but no rows", plural(found.tables_for_data, "table", "tables")));
        return fixed(what, "to import rows as well, dump again without --schema-only (-s)");
    }
    if found.is_empty() {
        let what = check(name, Warn, "no tables and no rows".into());
        return fixed(what, "check that you dumped the right database");
    }
    let tables = plural(found.tables_for_data, "table", "tables");
    let rows = found.rows.map_or_else(String::new, |rows| format!(", {}", plural(rows, "row", "rows")));
    check(name, Pass, format!("{tables}{rows}"))
}

/// A table's owner can disable its triggers, except those of foreign keys.
pub(super) fn disabled_triggers(found: &Contents, sets_replication_role: bool) -> Check {
    let name = "no_disabled_triggers";
    let times = found.times(Finding::DisabledTriggers);
    if times == 0 && found.sets_replication_role && sets_replication_role {
        let what = "triggers and foreign keys are off while rows load (session_replication_role); the import checks \
                    all foreign keys afterwards";
        return check(name, Pass, what.into());
    }
    if times == 0 {
        return check(name, Pass, "no triggers are disabled".into());
    }
    let what = format!("triggers of {} are disabled while rows are loaded", plural(times, "table", "tables"));
    let fix = "dump again without --disable-triggers, which requires superuser for tables with foreign keys";
    with_evidence(fixed(check(name, Warn, what), fix), places(found.seen(Finding::DisabledTriggers)))
}

pub(super) fn uses_copy(found: &Contents) -> Check {
    let name = "uses_copy";
    let times = found.times(Finding::Inserts);
    if times == 0 {
        return check(name, Pass, "no INSERT statements".into());
    }
    let what = if found.format == Format::Plain {
        plural(times, "INSERT statement", "INSERT statements")
    } else {
        format!("{} INSERT statements", plural(times, "table uses", "tables use"))
    };
    let fix = "for a much faster import with COPY, dump again without --inserts, --column-inserts, --rows-per-insert";
    with_evidence(fixed(check(name, Warn, what), fix), places(found.seen(Finding::Inserts)))
}
