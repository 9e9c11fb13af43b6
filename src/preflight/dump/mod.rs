//! Grades the contents of a dump: the checks of every source, and those specific to dumps.

mod intrinsic_checks;
mod target_checks;

use super::{Limits, check, extensions_available, fixed, report, size_within_plan, version_compatible};
use crate::dump::join::with_lines_of_files;
use crate::dump::{Contents, DumpFile, Finding, Format, Occurrences};
use crate::platforms::{self, Platform};
use crate::wire::{AuthForeignKey, Check, CheckStatus, DumpFacts, Extension, Preflight, SourceFacts};
pub(super) use intrinsic_checks::functions_find_their_tables;
use intrinsic_checks::{
    complete, disabled_triggers, foreign_servers, format_supported, large_objects, psql_commands, refused,
    row_security, rows_match_columns, schema_and_data, sections_present, single_database, skipped_statements,
    text_in_declared_encoding, tool_compatible, uses_copy,
};
use target_checks::TargetChecks;

/// Feature flag of a control plane that filters plain SQL like archives: owners, privileges, event
/// triggers and the like are skipped.
pub const FILTERS_PLAIN_SQL: &str = "filters_plain_sql";

/// Feature flag of a control plane that lets plain SQL turn triggers and foreign keys off while rows load
/// (`session_replication_role`), and checks all foreign keys afterwards.
pub const SETS_REPLICATION_ROLE: &str = "sets_replication_role";

/// Feature flag of a control plane that knows the field `source_encoding`.
pub const SOURCE_ENCODING: &str = "source_encoding";

/// Feature flag of a control plane that knows the field `source_ca`.
pub const SOURCE_CA: &str = "source_ca";

/// Feature flag of a control plane that creates roles that own nothing (`POST …/roles`).
pub const APPLICATION_ROLES: &str = "application_roles";

/// Feature flag of a control plane that grades the target too: it knows the fields `recreate` and
/// `allow_empty`.
pub const CHECKS_TARGET: &str = "checks_target";

/// Tables and views of a target, as schema and name.
#[derive(Debug, Clone, Default)]
pub enum ExistingTables {
    /// They are replaced, or not known.
    #[default]
    Ignored,
    /// It is not decided yet whether the import adds to them.
    Undecided(Vec<(String, String)>),
    /// The import adds to them.
    Kept(Vec<(String, String)>),
}

/// How a dump is imported.
#[derive(Debug, Clone, Default)]
pub struct ImportMode {
    /// The project's role, which will own all objects; empty if unknown.
    pub role: String,
    /// The control plane filters plain SQL ([`FILTERS_PLAIN_SQL`]); otherwise psql runs it unchanged.
    pub filters_plain_sql: bool,
    /// Plain SQL may set `session_replication_role` ([`SETS_REPLICATION_ROLE`]).
    pub sets_replication_role: bool,
    /// The target database is replaced, so it is empty before the import.
    pub recreate: bool,
    /// Tables and views of the target that the import may add to.
    pub existing: ExistingTables,
}

/// Grades a dump against the limits of its target.
pub fn grade_dump(dump: &DumpFile, found: &Contents, limits: &Limits, mode: &ImportMode) -> Preflight {
    let platform = platform(found);
    let facts = facts(dump, found, platform.as_ref());
    let unfiltered = found.format == Format::Plain && !mode.filters_plain_sql;
    let case = TargetChecks { found, limits, mode, unfiltered, platform };
    let mut size = size_within_plan(found.size, limits.storage_limit_bytes);
    if found.format != Format::Plain
        && let Some(detail) = &mut size.detail
    {
        detail.push_str("; the restored database is larger than the archive");
    }
    let mut wanted = facts.extensions.clone();
    let used = found.missing_extensions().map(|(wanted, _)| Extension { name: wanted.name, version: String::new() });
    wanted.extend(used);
    let mut extensions = extensions_available(&wanted, &limits.extensions);
    if extensions.status == CheckStatus::Fail {
        let missing = |name: &str| name != "plpgsql" && !limits.extensions.iter().any(|known| known == name);
        let places = found.extensions.iter().filter(|(wanted, _)| missing(&wanted.name));
        extensions.evidence =
            places.take(5).map(|(wanted, place)| format!("{place}: extension {}", wanted.name)).collect();
    }
    let checks = vec![
        complete(found),
        sections_present(found),
        text_in_declared_encoding(found, dump.source_encoding.is_some()),
        rows_match_columns(found),
        functions_find_their_tables(found),
        row_security(found),
        format_supported(found),
        size,
        version_compatible(&found.server_version, &limits.target_version),
        tool_compatible(found),
        extensions,
        case.names_free(),
        case.extensions_created(),
        case.extension_schemas(),
        single_database(found, unfiltered),
        case.roles(),
        case.policy_roles(),
        case.settings(),
        case.dropped_schemas(),
        case.references_present(),
        case.system_views(),
        case.check_functions(),
        psql_commands(found),
        case.transaction(),
        refused(found),
        case.superuser_objects(),
        foreign_servers(found),
        large_objects(found),
        case.platform_schemas(),
        case.platform_references(),
        case.references(),
        schema_and_data(found, mode.recreate),
        disabled_triggers(found, mode.sets_replication_role),
        uses_copy(found),
        skipped_statements(found),
    ];
    let in_files = |text: String| with_lines_of_files(&text, &dump.parts);
    let checks = checks.into_iter().map(|check| match dump.parts.len() {
        0 | 1 => check,
        _ => Check {
            detail: check.detail.map(in_files),
            evidence: check.evidence.into_iter().map(in_files).collect(),
            ..check
        },
    });
    report(checks.collect(), facts, limits)
}

/// The report on a file that is not a dump, or is too damaged to read.
pub fn unreadable(problem: &str, limits: &Limits) -> Preflight {
    let why = check(READABLE, CheckStatus::Fail, problem.to_owned());
    report(
        vec![fixed(why, "create a dump with: pg_dump -Fc -f app.dump \"postgres://user@host/database\"")],
        SourceFacts::default(),
        limits,
    )
}

/// Name of the check that fails if a file is not a readable dump.
const READABLE: &str = "dump_readable";

fn facts(dump: &DumpFile, found: &Contents, platform: Option<&(&Platform, Vec<String>)>) -> SourceFacts {
    let on_platform = |schema: &String| platform.is_some_and(|(known, _)| known.schemas.contains(&schema.as_str()));
    let (provider_schemas, app_schemas): (Vec<_>, Vec<_>) = found.schemas.iter().cloned().partition(on_platform);
    let extension = |name: &str| Extension { name: name.to_owned(), version: String::new() };
    let of_platform = |target: &str| {
        let schema = target.split('.').next().unwrap_or_default();
        platform.is_some_and(|(known, _)| known.schemas.contains(&schema))
    };
    let keys = found.platform_keys.iter().filter(|(_, _, target)| of_platform(target));
    SourceFacts {
        server_version: found.server_version.clone(),
        database_size_bytes: found.size,
        extensions: found.extensions.iter().map(|(wanted, _)| extension(&wanted.name)).collect(),
        app_schemas,
        provider: platform.map(|(known, _)| known.id.to_owned()),
        provider_signals: platform.map(|(_, signs)| signs.clone()).unwrap_or_default(),
        provider_schemas,
        provider_auth_fks: keys
            .map(|(constraint, source_table, target_table)| AuthForeignKey {
                constraint: constraint.clone(),
                source_table: source_table.clone(),
                target_table: target_table.clone(),
            })
            .collect(),
        event_triggers: found.seen(Finding::EventTrigger).map(|(name, _)| name.to_owned()).collect(),
        dump: Some(DumpFacts {
            format: found.format.name().to_owned(),
            archive_version: found.archive_version.map(|(major, minor)| format!("{major}.{minor}")),
            compression: found.compression.map(|compression| compression.name().to_owned()),
            packed: dump.outer_compression.map(|outer_compression| outer_compression.name().to_owned()),
            dump_version: found.dump_version.clone(),
            file_size_bytes: dump.size,
            objects: found.objects.iter().map(|(kind, number)| ((*kind).to_owned(), *number)).collect(),
            rows: found.rows,
            tables_with_data: found.tables_with_data,
        }),
        ..SourceFacts::default()
    }
}

/// The platform that the dump comes from, and the signs that identify it.
fn platform(found: &Contents) -> Option<(&'static Platform, Vec<String>)> {
    let roles: Vec<&str> = found.roles().into_iter().collect();
    let schemas: Vec<&str> = found.schemas.iter().map(String::as_str).collect();
    platforms::of_dump(&roles, &schemas)
}

/// The first locations of some findings.
fn places<'a>(all: impl IntoIterator<Item = (&'a str, &'a Occurrences)>) -> Vec<String> {
    let all: Vec<&Occurrences> = all.into_iter().map(|(_, seen)| seen).collect();
    // One location of each subject first, so that no subject hides the others.
    let turns = (0..3).flat_map(|turn| all.iter().filter_map(move |seen| seen.first.get(turn)));
    turns.take(5).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::{detect, read};
    use crate::util::byte_counter::ByteCounter;
    use crate::wire::Check;
    use CheckStatus::{Fail, Pass, Warn};
    use std::io::Write;

    /// The report on a plain SQL dump.
    fn report_on(text: &str, mode: &ImportMode) -> Preflight {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("a writable file");
        let dump = detect::identify(file, "app.sql".into()).expect("a valid dump");
        let contents = read(&dump, &ByteCounter::default()).expect("a readable dump");
        let extensions = super::super::ALLOWED_EXTENSIONS.map(str::to_owned).to_vec();
        grade_dump(
            &dump,
            &contents,
            &Limits { storage_limit_bytes: 1000, target_version: "17".into(), extensions },
            mode,
        )
    }

    fn outcome(text: &str, name: &str) -> (CheckStatus, String) {
        outcome_with_mode(text, name, &ImportMode::default())
    }

    fn outcome_with_mode(text: &str, name: &str, mode: &ImportMode) -> (CheckStatus, String) {
        let report = report_on(text, mode);
        let check = report.checks.iter().find(|check| check.name == name).expect(name);
        if check.status != Pass {
            assert!(check.fix.is_some(), "{name} has no fix");
        }
        (check.status, format!("{} {}", check.detail.as_deref().unwrap_or(""), check.evidence.join(" | ")))
    }

    #[test]
    fn a_clean_dump_passes_every_check() {
        let report =
            report_on("CREATE TABLE public.t (id int);\nCOPY public.t FROM stdin;\n1\n\\.\n", &ImportMode::default());
        let not_passed: Vec<&Check> = report.checks.iter().filter(|check| check.status != Pass).collect();
        assert!(report.ok && not_passed.is_empty(), "{not_passed:#?}");
    }

    #[test]
    fn owners_fail_only_in_unfiltered_plain_sql() {
        let text = "CREATE TABLE t ();\nALTER TABLE t OWNER TO bob;\n";
        assert_eq!(outcome(text, "no_role_dependencies").0, Fail);
        let filtered = ImportMode { filters_plain_sql: true, ..ImportMode::default() };
        let (status, details) = outcome_with_mode(text, "no_role_dependencies", &filtered);
        assert_eq!((status, details.contains("bob"), details.contains("line 2")), (Pass, true, true), "{details}");
        let own_role = ImportMode { role: "bob".into(), ..ImportMode::default() };
        assert_eq!(outcome_with_mode(text, "no_role_dependencies", &own_role).0, Pass, "the project's own role exists");
    }

    #[test]
    fn each_problem_is_reported_with_its_location() {
        for (text, name, status, expected) in [
            ("SELECT 1;\n\\connect other\n", "no_psql_commands", Fail, "line 2: \\connect"),
            ("\\! id\n", "no_psql_commands", Fail, "\\!"),
            ("CREATE TABLE a.t (x int);", "references_present", Warn, "schema a line 1"),
            (
                "CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION public.f();",
                "references_present",
                Warn,
                "public.f",
            ),
            ("DROP SCHEMA public CASCADE;", "no_dropped_schemas", Fail, "drops the schema public"),
            ("CREATE TABLE t (x int CHECK (public.f(x)));", "checks_without_functions", Warn, "1 table has"),
            (
                "CREATE VIEW v AS SELECT checkpoints_timed FROM pg_stat_bgwriter;",
                "system_views_unchanged",
                Fail,
                "pg_stat_bgwriter.checkpoints_timed",
            ),
            (
                "CREATE FUNCTION public.f(text) RETURNS text LANGUAGE sql AS 'select n from t';\nCREATE TABLE t (n text);\n\
                 CREATE INDEX i ON t (public.f(n));",
                "functions_find_their_tables",
                Fail,
                "public.f (t) line 3",
            ),
            ("COPY t (a, b) FROM stdin;\n1\n\\.\n", "rows_match_columns", Fail, "line 2"),
            ("CREATE TABLE t (e citext);", "extensions_created", Warn, "citext"),
            ("COPY t FROM PROGRAM 'id';", "no_server_access", Fail, "line 1: COPY t FROM PROGRAM"),
            (
                "SET transaction_timeout = 0;\nSET yb_x = 1;",
                "settings_known_to_target",
                Fail,
                "does not support: yb_x line 2",
            ),
            ("SET session_replication_role = replica;", "settings_known_to_target", Fail, "superuser-only"),
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
                "does not have the language",
            ),
            ("ALTER TABLE t DISABLE TRIGGER ALL;", "no_disabled_triggers", Warn, "disabled"),
            ("CREATE SERVER far FOREIGN DATA WRAPPER file_fdw;", "no_foreign_servers", Fail, "line 1"),
            ("SELECT pg_catalog.lo_create('1');", "large_objects", Warn, "line 1"),
            ("CREATE SCHEMA heroku_ext;", "no_platform_schemas", Warn, "Heroku"),
            (
                "CREATE TABLE a ();\nALTER TABLE a ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES s.c(d);",
                "foreign_keys_self_contained",
                Warn,
                "s.c",
            ),
            ("INSERT INTO t VALUES (1);", "uses_copy", Warn, "1 INSERT statement"),
            ("INSERT INTO t VALUES (1);", "schema_and_data", Warn, "data only"),
            ("CREATE TABLE t ();", "schema_and_data", Warn, "schema only"),
            ("CREATE POLICY p ON t TO anon USING (true);", "policy_roles_present", Warn, "anon"),
            ("-- PostgreSQL database dump\n\nSELECT 1;\n", "dump_complete", Fail, "truncated"),
            ("COPY t FROM stdin;\n1\n", "dump_complete", Fail, "in the middle of COPY data"),
        ] {
            let (actual, details) = outcome(text, name);
            assert!(actual == status && details.contains(expected), "{text}: {actual:?} {details}");
        }
    }

    #[test]
    fn a_parameter_named_language_is_not_a_clause() {
        for (text, status) in [
            ("CREATE FUNCTION f(language text) RETURNS TABLE(language text) LANGUAGE sql AS $$ $$;", Pass),
            ("CREATE FUNCTION f(a text) RETURNS int AS 'x' LANGUAGE 'plpgsql';", Pass),
            ("CREATE FUNCTION f(a text) RETURNS int LANGUAGE c AS 'x', 'y';", Fail),
        ] {
            assert_eq!(outcome(text, "no_superuser_objects").0, status, "{text}");
        }
    }

    #[test]
    fn a_dump_larger_than_the_plan_fails() {
        let text = format!("SELECT '{}';", "x".repeat(1000));
        assert_eq!(outcome(&text, "source_size_within_plan").0, Fail);
    }

    #[test]
    fn rows_without_tables_fail_in_a_new_database() {
        let mode = ImportMode { recreate: true, ..ImportMode::default() };
        assert_eq!(outcome_with_mode("INSERT INTO t VALUES (1);", "schema_and_data", &mode).0, Fail);
        assert_eq!(outcome("SELECT 1 AS x INTO t;\nINSERT INTO t VALUES (1);", "schema_and_data").0, Pass);
    }

    #[test]
    fn a_supabase_dump_is_recognized() {
        let text = "CREATE SCHEMA auth;\nCREATE SCHEMA storage;\nCREATE SCHEMA realtime;\nCREATE TABLE auth.users (id int);\nCREATE TABLE public.p (u int);\n\
            ALTER TABLE ONLY public.p ADD CONSTRAINT p_u FOREIGN KEY (u) REFERENCES auth.users(id);\n\
            CREATE POLICY own ON public.p USING ((auth.uid() = u));\n";
        let report = report_on(text, &ImportMode::default());
        assert_eq!(report.source.provider.as_deref(), Some("supabase"));
        assert_eq!(report.source.provider_schemas, ["auth", "realtime", "storage"]);
        let foreign_key = &report.source.provider_auth_fks[0];
        assert_eq!(
            (foreign_key.constraint.as_str(), foreign_key.source_table.as_str(), foreign_key.target_table.as_str()),
            ("p_u", "public.p", "auth.users")
        );
        let (status, details) = outcome(text, "no_platform_references");
        assert_eq!(status, Warn);
        assert!(details.starts_with("1 foreign key and 1 policy reference"), "{details}");
    }
}
