//! Checks of what a dump is, whatever its target.

use super::places;
use crate::dump::{Contents, Finding, Format};
use crate::preflight::{check, fixed, names, plural, with_evidence};
use crate::util::format::major;
use crate::wire::{Check, CheckStatus};
use CheckStatus::{Fail, Pass, Warn};

pub(super) fn complete(found: &Contents) -> Check {
    let zero = found.seen(Finding::ZeroByte).flat_map(|(_, seen)| seen.first.clone()).collect::<Vec<_>>();
    if !zero.is_empty() {
        let damaged = check("dump_complete", Fail, "it holds zero bytes, so the file is damaged".into());
        return with_evidence(fixed(damaged, "copy the file again, or dump again"), zero);
    }
    match &found.cut_off {
        Some(why) => {
            fixed(check("dump_complete", Fail, format!("it is cut off: {why}")), "copy the file again, or dump again")
        }
        None => check("dump_complete", Pass, "it has its end".into()),
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
                format!("the {format} format cannot be uploaded; it takes custom (pg_dump -Fc) and plain SQL"),
            );
            fixed(
                what,
                format!(
                    "dump again with pg_dump -Fc, or turn it into SQL: pg_restore --no-owner --no-privileges -f app.sql {}",
                    match found.format {
                        Format::Tar => "FILE",
                        _ => "FOLDER",
                    }
                ),
            )
        }
    }
}

/// The archive version decides who can read it; the version of pg_dump is told.
pub(super) fn tool_compatible(found: &Contents) -> Check {
    let name = "dump_tool_compatible";
    let tool = crate::util::format::printable(&found.dump_version, 60);
    let Some(version) = major(&found.dump_version) else {
        return check(name, Pass, "it does not say which pg_dump wrote it".into());
    };
    if major(&found.server_version).is_some_and(|server| server > version) {
        return check(name, Warn, format!("pg_dump {tool} is older than the server that it dumped"));
    }
    let archive =
        found.archive_version.map_or_else(String::new, |(major, minor)| format!(", archive version {major}.{minor}"));
    check(name, Pass, format!("pg_dump {tool}{archive}"))
}

/// One database, not a server: no roles, no databases, no \connect.
pub(super) fn single_database(found: &Contents) -> Check {
    let name = "single_database";
    let times = found.times(Finding::ServerObject);
    if times == 0 && !found.whole_server {
        return check(name, Pass, "one database".into());
    }
    let what = if found.whole_server {
        "it is a script of pg_dumpall: roles and all databases of a server".to_owned()
    } else {
        format!("{} of the whole server, not of one database", plural(times, "statement is", "statements are"))
    };
    let fix = "dump one database: pg_dump -Fc -f app.dump \"postgres://user@host/database\" (without -C)";
    with_evidence(fixed(check(name, Fail, what), fix), places(found.seen(Finding::ServerObject)))
}

pub(super) fn psql_commands(found: &Contents) -> Check {
    let name = "no_psql_commands";
    if found.format != Format::Plain {
        return check(name, Pass, "an archive has none".into());
    }
    if found.times(Finding::PsqlCommand) == 0 {
        return check(name, Pass, "none but what pg_dump writes".into());
    }
    let commands = names(found.seen(Finding::PsqlCommand).map(|(command, _)| command));
    let what = check(name, Fail, format!("commands of psql that reach outside the import: {commands}"));
    let fix = "take these lines out, or dump again with pg_dump";
    with_evidence(fixed(what, fix), places(found.seen(Finding::PsqlCommand)))
}

/// What runs programs, reads files of the server or undoes the import.
pub(super) fn refused(found: &Contents) -> Check {
    let name = "no_server_access";
    let all = || found.seen(Finding::ServerFile).chain(found.seen(Finding::Refused));
    if all().next().is_none() {
        return check(name, Pass, "nothing reaches for the server's files or programs".into());
    }
    let what = if found.times(Finding::ServerFile) > 0 {
        "COPY with a file or program of the server".to_owned()
    } else {
        names(found.seen(Finding::Refused).map(|(why, _)| why))
    };
    let fix = "take these statements out; pg_dump writes COPY … FROM stdin";
    with_evidence(fixed(check(name, Fail, what), fix), places(all()))
}

pub(super) fn foreign_servers(found: &Contents) -> Check {
    let name = "no_foreign_servers";
    let all = || found.seen(Finding::Foreign).chain(found.seen(Finding::UserMapping));
    if all().next().is_none() {
        return check(name, Pass, "none".into());
    }
    let count = found.times(Finding::Foreign) + found.times(Finding::UserMapping);
    let what = format!("{} of foreign-data wrappers", plural(count, "object", "objects"));
    let fix = "the extension behind them is not available on the target; leave them out: pg_dump --exclude-schema, --exclude-extension (17 and later)";
    with_evidence(fixed(check(name, Warn, what), fix), places(all()))
}

pub(super) fn large_objects(found: &Contents) -> Check {
    let name = "large_objects";
    let times = found.times(Finding::LargeObject);
    if times == 0 {
        return check(name, Pass, "none".into());
    }
    let what = format!(
        "{} with large objects: they come along, one by one",
        plural(times, "entry or statement", "entries or statements")
    );
    let fix = "expect a slower import; leave them out with pg_dump --no-large-objects (--no-blobs before 16) if the application does not use them";
    with_evidence(fixed(check(name, Warn, what), fix), places(found.seen(Finding::LargeObject)))
}

pub(super) fn schema_and_data(found: &Contents, recreate: bool) -> Check {
    let name = "schema_and_data";
    let rows = found.tables_with_data + found.times(Finding::Inserts);
    if found.tables_for_data == 0 && rows > 0 {
        // SQL written by hand may make its tables in ways that are not seen.
        let status = if recreate && found.format != Format::Plain { Fail } else { Warn };
        let what = check(name, status, "data only: it brings rows and makes no tables".into());
        return fixed(
            what,
            "import it without --recreate into a database that has the tables, or dump schema and data",
        );
    }
    if found.tables_for_data > 0 && rows == 0 {
        let what =
            check(name, Warn, format!("schema only: {} and no rows", plural(found.tables_for_data, "table", "tables")));
        return fixed(what, "dump again without --schema-only (-s) if the rows should come along");
    }
    if found.tables_for_data == 0 && found.objects.is_empty() {
        let what = check(name, Warn, "it holds no tables and no rows".into());
        return fixed(what, "check that the right database was dumped");
    }
    let tables = plural(found.tables_for_data, "table", "tables");
    let rows = found.rows.map_or_else(String::new, |rows| format!(", {}", plural(rows, "row", "rows")));
    check(name, Pass, format!("{tables}{rows}"))
}

/// The owner of a table may switch its triggers off, but not those of its foreign keys.
pub(super) fn triggers_off(found: &Contents) -> Check {
    let name = "no_disabled_triggers";
    let times = found.times(Finding::TriggersOff);
    if times == 0 {
        return check(name, Pass, "no triggers are switched off".into());
    }
    let what = format!("triggers of {} are switched off while rows load", plural(times, "table", "tables"));
    let fix = "only a superuser may do that for tables with foreign keys: dump again without --disable-triggers";
    with_evidence(fixed(check(name, Warn, what), fix), places(found.seen(Finding::TriggersOff)))
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
        format!("{} as INSERT statements", plural(times, "table comes", "tables come"))
    };
    let fix = "it works, and takes several times as long as COPY: dump again without --inserts, --column-inserts, --rows-per-insert";
    with_evidence(fixed(check(name, Warn, what), fix), places(found.seen(Finding::Inserts)))
}
