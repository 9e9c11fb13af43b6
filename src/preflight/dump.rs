//! Grades what a dump holds: the three checks of every source, and those that only a dump needs.

use super::{
    Limits, check, extensions_available, fixed, major, names, plural, report, size_within_plan, version_compatible,
    with_evidence,
};
use crate::dump::settings::{Known, known};
use crate::dump::{Contents, DumpFile, Finding, Format, Seen};
use crate::platforms::{self, Platform};
use crate::wire::{AuthForeignKey, Check, CheckStatus, DumpFacts, Extension, Preflight, SourceFacts};
use CheckStatus::{Fail, Pass, Warn};
use std::collections::BTreeSet;

/// The word by which a control plane tells that it takes out of plain SQL what it takes out of
/// archives: owners, privileges, event triggers and the like.
pub const FILTERS_PLAIN_SQL: &str = "filters_plain_sql";

/// How the dump will be imported.
#[derive(Debug, Clone, Copy, Default)]
pub struct Handling {
    /// The control plane filters plain SQL ([`FILTERS_PLAIN_SQL`]); otherwise psql runs it as it is.
    pub filters_plain_sql: bool,
    /// The target is replaced, so that it holds nothing beforehand.
    pub recreate: bool,
}

/// Grades a dump against the limits of its target.
pub fn grade_dump(dump: &DumpFile, found: &Contents, limits: &Limits, handling: Handling) -> Preflight {
    let platform = platform(found);
    let facts = facts(dump, found, platform.as_ref());
    let runs_as_is = found.format == Format::Plain && !handling.filters_plain_sql;
    let case = Case { found, limits, recreate: handling.recreate, runs_as_is, platform };
    let mut size = size_within_plan(found.size, limits.storage_limit_bytes);
    if found.format != Format::Plain
        && let Some(detail) = &mut size.detail
    {
        detail.push_str("; an archive is smaller than the database that it makes");
    }
    let mut extensions = extensions_available(&facts.extensions, &limits.extensions);
    if extensions.status == Fail {
        let missing = |name: &str| name != "plpgsql" && !limits.extensions.iter().any(|known| known == name);
        let places = found.extensions.iter().filter(|(wish, _)| missing(&wish.name));
        extensions.evidence = places.take(5).map(|(wish, place)| format!("{place}: extension {}", wish.name)).collect();
    }
    let checks = vec![
        complete(found),
        format_supported(found),
        size,
        version_compatible(&found.server_version, &limits.target_version),
        tool_compatible(found),
        extensions,
        case.extension_schemas(),
        single_database(found),
        case.roles(),
        case.policy_roles(),
        case.settings(),
        psql_commands(found),
        case.transaction(),
        refused(found),
        case.superuser_objects(),
        foreign_servers(found),
        large_objects(found),
        case.platform_schemas(),
        case.platform_references(),
        case.references(),
        schema_and_data(found, handling.recreate),
        rows_by_copy(found),
    ];
    report(checks, facts, limits)
}

/// The report on a file that is no dump, or too damaged to be read.
pub fn unreadable(problem: &str, limits: &Limits) -> Preflight {
    let why = check(READABLE, Fail, problem.to_owned());
    report(
        vec![fixed(why, "make a dump with: pg_dump -Fc -f app.dump \"postgres://user@host/database\"")],
        SourceFacts::default(),
        limits,
    )
}

/// Name of the check that fails for what is no dump.
const READABLE: &str = "dump_readable";

fn facts(dump: &DumpFile, found: &Contents, platform: Option<&(&Platform, Vec<String>)>) -> SourceFacts {
    let on_platform = |schema: &String| platform.is_some_and(|(known, _)| known.schemas.contains(&schema.as_str()));
    let (provider_schemas, app_schemas): (Vec<_>, Vec<_>) = found.schemas.iter().cloned().partition(on_platform);
    let extension = |name: &str| Extension { name: name.to_owned(), version: String::new() };
    let keys =
        found.seen(Finding::PlatformKey).flat_map(|(schema, seen)| seen.first.iter().map(move |place| (schema, place)));
    SourceFacts {
        server_version: found.server_version.clone(),
        database_size_bytes: found.size,
        extensions: found.extensions.iter().map(|(wish, _)| extension(&wish.name)).collect(),
        app_schemas,
        provider: platform.map(|(known, _)| known.id.to_owned()),
        provider_signals: platform.map(|(_, signs)| signs.clone()).unwrap_or_default(),
        provider_schemas,
        provider_auth_fks: if platform.is_some() {
            keys.filter_map(|(schema, place)| key(schema, place)).collect()
        } else {
            Vec::new()
        },
        event_triggers: found.seen(Finding::EventTrigger).map(|(name, _)| name.to_owned()).collect(),
        dump: Some(DumpFacts {
            format: found.format.name().to_owned(),
            archive_version: found.archive_version.map(|(major, minor)| format!("{major}.{minor}")),
            compression: found.compression.map(|compression| compression.name().to_owned()),
            packed: dump.wrapping.map(|wrapping| wrapping.name().to_owned()),
            dump_version: found.dump_version.clone(),
            file_size_bytes: dump.size,
            objects: found.objects.iter().map(|(kind, number)| ((*kind).to_owned(), *number)).collect(),
            rows: found.rows,
            tables_with_data: found.tables_with_data,
        }),
        ..SourceFacts::default()
    }
}

/// The names in `… ALTER TABLE ONLY a ADD CONSTRAINT b FOREIGN KEY (c) REFERENCES d(e)`.
fn key(schema: &str, place: &str) -> Option<AuthForeignKey> {
    let words: Vec<&str> = place.split_whitespace().collect();
    let behind =
        |word: &str, more: usize| words.iter().position(|known| *known == word).and_then(|at| words.get(at + more));
    let table = behind("ONLY", 1).or(behind("TABLE", 1))?;
    let target = behind("REFERENCES", 1).map_or(schema, |target| target.split('(').next().unwrap_or(target));
    Some(AuthForeignKey {
        constraint: (*behind("CONSTRAINT", 1)?).to_owned(),
        source_table: (*table).to_owned(),
        target_table: target.to_owned(),
    })
}

/// The platform that the dump comes from, and its signs.
fn platform(found: &Contents) -> Option<(&'static Platform, Vec<String>)> {
    let roles: Vec<&str> = found.roles().into_iter().collect();
    let schemas: Vec<&str> = found.schemas.iter().map(String::as_str).collect();
    platforms::recognise(&roles, &schemas, &[])
}

/// The first places of some findings.
fn places<'a>(all: impl IntoIterator<Item = (&'a str, &'a Seen)>) -> Vec<String> {
    let all: Vec<&Seen> = all.into_iter().map(|(_, seen)| seen).collect();
    // One of each subject first, so that no subject hides the others.
    let turns = (0..3).flat_map(|turn| all.iter().filter_map(move |seen| seen.first.get(turn)));
    turns.take(5).cloned().collect()
}

fn complete(found: &Contents) -> Check {
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

fn format_supported(found: &Contents) -> Check {
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
fn tool_compatible(found: &Contents) -> Check {
    let name = "dump_tool_compatible";
    let tool = crate::text::printable(&found.dump_version, 60);
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
fn single_database(found: &Contents) -> Check {
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

fn psql_commands(found: &Contents) -> Check {
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
fn refused(found: &Contents) -> Check {
    let name = "stays_inside_database";
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

fn foreign_servers(found: &Contents) -> Check {
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

fn large_objects(found: &Contents) -> Check {
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

fn schema_and_data(found: &Contents, recreate: bool) -> Check {
    let name = "schema_and_data";
    let rows = found.tables_with_data + found.times(Finding::Inserts);
    if found.tables_for_data == 0 && rows > 0 {
        let status = if recreate { Fail } else { Warn };
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

fn rows_by_copy(found: &Contents) -> Check {
    let name = "rows_by_copy";
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

/// The checks that depend on how the dump is run and where.
struct Case<'a> {
    found: &'a Contents,
    limits: &'a Limits,
    recreate: bool,
    /// psql runs the script as it is, so its first error ends the import.
    runs_as_is: bool,
    platform: Option<(&'static Platform, Vec<String>)>,
}

impl Case<'_> {
    /// Fails where an error would end the import, warns where something is left behind.
    fn fatal_as_is(&self) -> CheckStatus {
        if self.runs_as_is { Fail } else { Warn }
    }

    fn extension_schemas(&self) -> Check {
        let name = "extension_schemas_present";
        let there = |schema: &str| ["public", "pg_catalog"].contains(&schema) || self.found.schemas.contains(schema);
        let missing: Vec<_> = self
            .found
            .extensions
            .iter()
            .filter_map(|(wish, place)| Some((wish, place, wish.schema.as_deref().filter(|schema| !there(schema))?)))
            .collect();
        if missing.is_empty() {
            return check(name, Pass, "all".into());
        }
        let schemas: BTreeSet<&str> = missing.iter().map(|(_, _, schema)| *schema).collect();
        let what = check(
            name,
            Warn,
            format!("extensions live in schemas that the dump does not make: {}", names(schemas.iter().copied())),
        );
        let evidence = missing
            .iter()
            .take(5)
            .map(|(wish, place, schema)| format!("{place}: extension {} in schema {schema}", wish.name))
            .collect();
        let first = schemas.first().copied().unwrap_or_default();
        with_evidence(
            fixed(
                what,
                format!("dump that schema as well, or create it on the target first: CREATE SCHEMA \"{first}\""),
            ),
            evidence,
        )
    }

    fn roles(&self) -> Check {
        let name = "roles_not_needed";
        let all = || {
            let kinds = [Finding::Owner, Finding::Grant, Finding::DefaultPrivileges, Finding::SetRole];
            kinds.into_iter().flat_map(|kind| self.found.seen(kind))
        };
        let roles = self.found.roles();
        if roles.is_empty() {
            return check(name, Pass, "no owners, no privileges".into());
        }
        let count = |kind, one, many| match self.found.times(kind) {
            0 => None,
            times => Some(plural(times, one, many)),
        };
        let parts: Vec<String> = [
            count(Finding::Owner, "owner", "owners"),
            count(Finding::Grant, "grant", "grants"),
            count(Finding::DefaultPrivileges, "default privilege", "default privileges"),
            count(Finding::SetRole, "SET ROLE", "SET ROLE"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let (parts, roles) = (parts.join(", "), names(roles));
        if self.runs_as_is {
            let what = check(name, Fail, format!("{parts} for roles that the target does not have: {roles}"));
            let fix =
                "dump again with --no-owner --no-privileges, or in custom format (-Fc), from which they are stripped";
            return with_evidence(fixed(what, fix), places(all()));
        }
        let what =
            check(name, Pass, format!("left behind: {parts} of {roles}; everything will belong to the project's role"));
        with_evidence(what, places(all()))
    }

    fn policy_roles(&self) -> Check {
        let name = "policy_roles_present";
        let roles: BTreeSet<&str> = self.found.policy_roles.iter().map(String::as_str).collect();
        if roles.is_empty() {
            return check(name, Pass, "no policy names a role".into());
        }
        let what = check(
            name,
            Warn,
            format!("row security policies are for roles that the target does not have: {}", names(roles)),
        );
        fixed(
            what,
            "they are created without login where the control plane can; grant them to the role of the application, or change the policies",
        )
    }

    fn settings(&self) -> Check {
        let name = "settings_known_to_target";
        let target = major(&self.limits.target_version).unwrap_or(17);
        if self.found.format != Format::Plain {
            return check(name, Pass, "an archive brings none".into());
        }
        let judged = |wanted: fn(Known) -> bool| {
            self.found.seen(Finding::Setting).filter(move |(setting, _)| wanted(known(setting, target)))
        };
        let unknown = || judged(|known| matches!(known, Known::Since(_) | Known::No));
        let guarded = || judged(|known| known == Known::SuperuserOnly);
        if unknown().next().is_some() {
            let settings = names(unknown().map(|(setting, _)| setting));
            let what = check(name, Fail, format!("Postgres {target} does not know: {settings}"));
            return with_evidence(
                fixed(what, "take these lines out, or dump with a pg_dump of the target's version"),
                places(unknown()),
            );
        }
        if guarded().next().is_some() {
            let settings = names(guarded().map(|(setting, _)| setting));
            let what = check(name, Fail, format!("only a superuser can set: {settings}"));
            return with_evidence(
                fixed(what, "take these lines out; the import runs as the project's role"),
                places(guarded()),
            );
        }
        check(name, Pass, format!("Postgres {target} knows all of them"))
    }

    fn transaction(&self) -> Check {
        let name = "no_transactions";
        if self.found.times(Finding::Transaction) == 0 {
            return check(name, Pass, "none of its own".into());
        }
        if !self.runs_as_is {
            return check(name, Pass, "its BEGIN and COMMIT are left out: the import is one transaction".into());
        }
        let what = check(name, Fail, "it begins or ends transactions, and the import is one transaction".into());
        let fix = "take BEGIN and COMMIT out (with large objects pg_dump writes them: use -Fc)";
        with_evidence(fixed(what, fix), places(self.found.seen(Finding::Transaction)))
    }

    /// What only a superuser can make.
    fn superuser_objects(&self) -> Check {
        let name = "no_superuser_objects";
        let left = [
            (Finding::EventTrigger, "event trigger", "event triggers"),
            (Finding::Publication, "publication of everything", "publications of everything"),
            (Finding::Subscription, "subscription", "subscriptions"),
        ];
        let fatal = [
            (Finding::Language, "object in an untrusted language", "objects in untrusted languages"),
            (Finding::TriggersOff, "table with triggers switched off", "tables with triggers switched off"),
        ];
        let told = |kinds: &[(Finding, &str, &str)]| -> Vec<String> {
            kinds
                .iter()
                .map(|(kind, one, many)| (self.found.times(*kind), one, many))
                .filter(|(times, ..)| *times > 0)
                .map(|(times, one, many)| plural(times, one, many))
                .collect()
        };
        let (left_out, in_the_way) = (told(&left), told(&fatal));
        if left_out.is_empty() && in_the_way.is_empty() {
            return check(name, Pass, "none".into());
        }
        let evidence = places(left.iter().chain(&fatal).flat_map(|(kind, ..)| self.found.seen(*kind)));
        if !in_the_way.is_empty() {
            let what =
                check(name, Fail, format!("only a superuser can make: {}", [in_the_way, left_out].concat().join(", ")));
            let fix = "rewrite functions in SQL or PL/pgSQL, dump without --disable-triggers";
            return with_evidence(fixed(what, fix), evidence);
        }
        let what = left_out.join(", ");
        let (what, fix) = if self.runs_as_is {
            (
                format!("only a superuser can make: {what}"),
                "dump in custom format (-Fc), from which they are left out; publications and subscriptions can also stay out of a plain dump (--no-publications, --no-subscriptions)",
            )
        } else {
            (
                format!("left out, for only a superuser can make them: {what}"),
                "make sure that the application does not need them",
            )
        };
        with_evidence(fixed(check(name, self.fatal_as_is(), what), fix), evidence)
    }

    fn platform_schemas(&self) -> Check {
        let name = "no_platform_schemas";
        let Some((platform, signs)) = &self.platform else {
            return check(name, Pass, "no provider's platform is seen".into());
        };
        let schemas: Vec<&str> =
            self.found.schemas.iter().map(String::as_str).filter(|schema| platform.schemas.contains(schema)).collect();
        if schemas.is_empty() {
            return check(name, Pass, format!("from {}, without the schemas of its platform", platform.name));
        }
        let what = check(
            name,
            Warn,
            format!("schemas of {}'s platform are in it: {}", platform.name, names(schemas.iter().copied())),
        );
        let exclude: Vec<String> = schemas.iter().take(4).map(|schema| format!("-N {schema}")).collect();
        let fix = format!(
            "they come along as ordinary schemas that nothing serves; leave them out: pg_dump -Fc {}",
            exclude.join(" ")
        );
        with_evidence(fixed(what, fix), signs.iter().take(5).cloned().collect())
    }

    fn platform_references(&self) -> Check {
        let name = "no_platform_references";
        let ours = |(schema, _): &(&str, &Seen)| {
            self.platform.as_ref().is_some_and(|(platform, _)| platform.schemas.contains(schema))
        };
        let all = || self.found.seen(Finding::PlatformKey).chain(self.found.seen(Finding::PlatformPolicy)).filter(ours);
        if all().next().is_none() {
            return check(name, Pass, "no foreign key or policy reaches into a platform".into());
        }
        let number = |kind| self.found.seen(kind).filter(ours).map(|(_, seen)| seen.count).sum::<u64>();
        let (keys, policies) = (number(Finding::PlatformKey), number(Finding::PlatformPolicy));
        let what = format!(
            "{} and {} reach into the platform's schemas",
            plural(keys, "foreign key", "foreign keys"),
            plural(policies, "policy", "policies")
        );
        let fix = "the application must bring its own users table and functions such as auth.uid(); drop or rewrite these before the switch";
        with_evidence(fixed(check(name, Warn, what), fix), places(all()))
    }

    fn references(&self) -> Check {
        let name = "references_come_along";
        let all = || self.found.seen(Finding::DanglingKey);
        if self.found.tables_for_data == 0 || all().next().is_none() {
            return check(name, Pass, "every foreign key's table is in the dump".into());
        }
        // Without recreate the target may have them.
        let status = if self.recreate { Fail } else { Warn };
        let what = check(
            name,
            status,
            format!("foreign keys lead to tables that are not in the dump: {}", names(all().map(|(table, _)| table))),
        );
        let fix = "dump these tables as well, or drop the keys on the source before dumping";
        with_evidence(fixed(what, fix), places(all()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::{Progress, detect, read};
    use std::io::Write;

    /// The report on a plain dump.
    fn graded(text: &str, handling: Handling) -> Preflight {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let dump = detect::identify(file, "it".into()).expect("a dump");
        let found = read(&dump, &Progress::default()).expect("reads");
        let extensions = super::super::ALLOWED_EXTENSIONS.map(str::to_owned).to_vec();
        grade_dump(
            &dump,
            &found,
            &Limits { storage_limit_bytes: 1000, target_version: "17".into(), extensions },
            handling,
        )
    }

    fn verdict(text: &str, name: &str) -> (CheckStatus, String) {
        verdict_when(text, name, Handling::default())
    }

    fn verdict_when(text: &str, name: &str, handling: Handling) -> (CheckStatus, String) {
        let report = graded(text, handling);
        let check = report.checks.iter().find(|check| check.name == name).expect(name);
        if check.status != Pass {
            assert!(check.fix.is_some(), "{name} has no fix");
        }
        (check.status, format!("{} {}", check.detail.as_deref().unwrap_or(""), check.evidence.join(" | ")))
    }

    #[test]
    fn a_clean_dump_passes_everything() {
        let report =
            graded("CREATE TABLE public.t (id int);\nCOPY public.t FROM stdin;\n1\n\\.\n", Handling::default());
        let others: Vec<&Check> = report.checks.iter().filter(|check| check.status != Pass).collect();
        assert!(report.ok && others.is_empty(), "{others:#?}");
    }

    #[test]
    fn owners_are_fatal_only_where_psql_meets_them() {
        let text = "CREATE TABLE t ();\nALTER TABLE t OWNER TO bob;\n";
        assert_eq!(verdict(text, "roles_not_needed").0, Fail);
        let filtered = Handling { filters_plain_sql: true, recreate: false };
        let (status, said) = verdict_when(text, "roles_not_needed", filtered);
        assert_eq!((status, said.contains("bob"), said.contains("line 2")), (Pass, true, true), "{said}");
    }

    #[test]
    fn each_problem_is_told_with_its_place() {
        for (text, name, status, words) in [
            ("SELECT 1;\n\\connect other\n", "no_psql_commands", Fail, "line 2: \\connect other"),
            ("\\! id\n", "no_psql_commands", Fail, "\\!"),
            ("COPY t FROM PROGRAM 'id';", "stays_inside_database", Fail, "line 1: COPY t FROM PROGRAM"),
            (
                "SET transaction_timeout = 0;\nSET yb_x = 1;",
                "settings_known_to_target",
                Fail,
                "does not know: yb_x line 2",
            ),
            ("SET session_replication_role = replica;", "settings_known_to_target", Fail, "only a superuser"),
            ("CREATE ROLE bob;", "single_database", Fail, "line 1: CREATE ROLE bob"),
            (
                "CREATE EXTENSION hstore WITH SCHEMA ext;",
                "extension_schemas_present",
                Warn,
                "line 1: extension hstore in schema ext",
            ),
            ("CREATE EXTENSION isn;", "extensions_available_on_target", Fail, "line 1: extension isn"),
            ("BEGIN;\nCOMMIT;", "no_transactions", Fail, "line 1: BEGIN"),
            (
                "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();",
                "no_superuser_objects",
                Fail,
                "event trigger",
            ),
            (
                "CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS $$ 1 $$;",
                "no_superuser_objects",
                Fail,
                "untrusted",
            ),
            ("ALTER TABLE t DISABLE TRIGGER ALL;", "no_superuser_objects", Fail, "switched off"),
            ("CREATE SERVER far FOREIGN DATA WRAPPER file_fdw;", "no_foreign_servers", Warn, "line 1"),
            ("SELECT pg_catalog.lo_create('1');", "large_objects", Warn, "line 1"),
            ("CREATE SCHEMA heroku_ext;", "no_platform_schemas", Warn, "Heroku"),
            (
                "CREATE TABLE a ();\nALTER TABLE a ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES s.c(d);",
                "references_come_along",
                Warn,
                "s.c",
            ),
            ("INSERT INTO t VALUES (1);", "rows_by_copy", Warn, "1 INSERT statement"),
            ("INSERT INTO t VALUES (1);", "schema_and_data", Warn, "data only"),
            ("CREATE TABLE t ();", "schema_and_data", Warn, "schema only"),
            ("CREATE POLICY p ON t TO anon USING (true);", "policy_roles_present", Warn, "anon"),
            ("-- PostgreSQL database dump\n\nSELECT 1;\n", "dump_complete", Fail, "cut off"),
            ("COPY t FROM stdin;\n1\n", "dump_complete", Fail, "in the middle of a table's rows"),
        ] {
            let (found, said) = verdict(text, name);
            assert!(found == status && said.contains(words), "{text}: {found:?} {said}");
        }
    }

    #[test]
    fn a_plan_that_is_too_small_fails() {
        let text = format!("SELECT '{}';", "x".repeat(1000));
        assert_eq!(verdict(&text, "source_size_within_plan").0, Fail);
    }

    #[test]
    fn rows_alone_cannot_replace_a_database() {
        let handling = Handling { recreate: true, filters_plain_sql: true };
        assert_eq!(verdict_when("INSERT INTO t VALUES (1);", "schema_and_data", handling).0, Fail);
    }

    #[test]
    fn a_supabase_dump_is_known() {
        let text = "CREATE SCHEMA auth;\nCREATE SCHEMA storage;\nCREATE SCHEMA realtime;\nCREATE TABLE auth.users (id int);\nCREATE TABLE public.p (u int);\n\
            ALTER TABLE ONLY public.p ADD CONSTRAINT p_u FOREIGN KEY (u) REFERENCES auth.users(id);\n\
            CREATE POLICY own ON public.p USING ((auth.uid() = u));\n";
        let report = graded(text, Handling::default());
        assert_eq!(report.source.provider.as_deref(), Some("supabase"));
        assert_eq!(report.source.provider_schemas, ["auth", "realtime", "storage"]);
        let key = &report.source.provider_auth_fks[0];
        assert_eq!(
            (key.constraint.as_str(), key.source_table.as_str(), key.target_table.as_str()),
            ("p_u", "public.p", "auth.users")
        );
        let (status, said) = verdict(text, "no_platform_references");
        assert_eq!(status, Warn);
        assert!(said.starts_with("1 foreign key and 1 policy reach"), "{said}");
    }
}
