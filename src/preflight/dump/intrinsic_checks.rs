//! Checks of a dump that do not depend on its target.

use super::places;
use crate::dump::{Contents, Finding, Format};
use crate::preflight::{check, fixed, names, plural, with_evidence};
use crate::util::format::major;
use crate::wire::{Check, CheckStatus};
use CheckStatus::{Fail, Pass, Warn};

pub(super) fn complete(found: &Contents) -> Check {
    let zero = found.seen(Finding::ZeroByte).flat_map(|(_, seen)| seen.first.clone()).collect::<Vec<_>>();
    if !zero.is_empty() {
        let damaged = check("dump_complete", Fail, "the file is damaged: it contains zero bytes".into());
        return with_evidence(fixed(damaged, "copy the file again, or create a new dump"), zero);
    }
    match &found.truncated {
        Some(why) => fixed(
            check("dump_complete", Fail, format!("the dump is truncated: {why}")),
            "copy the file again, or create a new dump",
        ),
        None => check("dump_complete", Pass, "the dump is complete".into()),
    }
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

/// Fails for dumps of a whole server, and for statements that create roles or databases.
pub(super) fn single_database(found: &Contents) -> Check {
    let name = "single_database";
    let times = found.times(Finding::ServerObject);
    if times == 0 && !found.whole_server {
        return check(name, Pass, "one database".into());
    }
    let what = if found.whole_server {
        "pg_dumpall script: roles and all databases of a server".to_owned()
    } else {
        format!("{} the whole server instead of one database", plural(times, "statement affects", "statements affect"))
    };
    let fix = "dump one database without --create (-C): pg_dump -Fc -f app.dump \"postgres://user@host/database\"";
    with_evidence(fixed(check(name, Fail, what), fix), places(found.seen(Finding::ServerObject)))
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
    with_evidence(fixed(check(name, Warn, what), fix), places(all()))
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
        // Handwritten SQL may create its tables in ways that are not recognized.
        let status = if recreate && found.format != Format::Plain { Fail } else { Warn };
        let what = check(name, status, "data only: rows but no tables".into());
        return fixed(what, "import without --recreate into a database that has the tables, or dump schema and data");
    }
    if found.tables_for_data > 0 && rows == 0 {
        let what =
            check(name, Warn, format!("schema only: {} but no rows", plural(found.tables_for_data, "table", "tables")));
        return fixed(what, "to import rows as well, dump again without --schema-only (-s)");
    }
    if found.tables_for_data == 0 && found.objects.is_empty() {
        let what = check(name, Warn, "no tables and no rows".into());
        return fixed(what, "check that you dumped the right database");
    }
    let tables = plural(found.tables_for_data, "table", "tables");
    let rows = found.rows.map_or_else(String::new, |rows| format!(", {}", plural(rows, "row", "rows")));
    check(name, Pass, format!("{tables}{rows}"))
}

/// A table's owner can disable its triggers, except those of foreign keys.
pub(super) fn disabled_triggers(found: &Contents) -> Check {
    let name = "no_disabled_triggers";
    let times = found.times(Finding::DisabledTriggers);
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
