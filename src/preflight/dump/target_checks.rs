//! Checks of a dump that depend on its target and import mode.

use super::{ExistingTables, ImportMode, places};
use crate::dump::catalog_changes::removed_in;
use crate::dump::settings::{HARMLESS, SettingSupport, support};
use crate::dump::{Contents, Finding, Format, Occurrences};
use crate::platforms::Platform;
use crate::preflight::live::NAMES_FREE;
use crate::preflight::{Limits, TARGET_MAJOR, check, fixed, names, plural, sql_name, with_evidence};
use crate::util::format::major;
use crate::wire::{Check, CheckStatus};
use CheckStatus::{Fail, Pass, Warn};
use std::collections::BTreeSet;

/// A dump with its target and import mode.
pub(super) struct TargetChecks<'a> {
    pub(super) found: &'a Contents,
    pub(super) limits: &'a Limits,
    pub(super) mode: &'a ImportMode,
    /// psql runs the script unchanged, so its first error ends the import.
    pub(super) unfiltered: bool,
    pub(super) platform: Option<(&'static Platform, Vec<String>)>,
}

impl TargetChecks<'_> {
    /// Fails if an error would end the import, warns if the object is skipped.
    fn fail_if_unfiltered(&self) -> CheckStatus {
        if self.unfiltered { Fail } else { Warn }
    }

    pub(super) fn extension_schemas(&self) -> Check {
        let name = "extension_schemas_present";
        let exists = |schema: &str| ["public", "pg_catalog"].contains(&schema) || self.found.schemas.contains(schema);
        let missing: Vec<_> = self
            .found
            .extensions
            .iter()
            .filter_map(|(wanted, place)| {
                Some((wanted, place, wanted.schema.as_deref().filter(|schema| !exists(schema))?))
            })
            .collect();
        if missing.is_empty() {
            return check(name, Pass, "all schemas exist".into());
        }
        let schemas: BTreeSet<&str> = missing.iter().map(|(_, _, schema)| *schema).collect();
        let what =
            check(name, Warn, format!("extension schemas missing from the dump: {}", names(schemas.iter().copied())));
        let evidence = missing
            .iter()
            .take(5)
            .map(|(wanted, place, schema)| format!("{place}: extension {} in schema {schema}", wanted.name))
            .collect();
        let first = schemas.first().copied().unwrap_or_default();
        with_evidence(
            fixed(
                what,
                format!("include the schema in the dump, or create it on the target: CREATE SCHEMA \"{first}\""),
            ),
            evidence,
        )
    }

    /// Schemas and trigger functions that the dump uses but does not create, as with `pg_dump -t`.
    pub(super) fn references_present(&self) -> Check {
        let name = "references_present";
        let all = || {
            let kinds = [Finding::MissingSchema, Finding::MissingFunction, Finding::MissingName];
            kinds.into_iter().flat_map(|kind| self.found.seen(kind))
        };
        if all().next().is_none() {
            return check(name, Pass, "the dump creates the objects that it uses".into());
        }
        // Code may create them; without --recreate, the target may have them.
        // Other scripts can create objects in ways that are not recognized (`RENAME`, `SELECT INTO`).
        let by_pg_dump = self.found.format != Format::Plain || self.found.by_pg_dump;
        let only_objects = self.found.seen(Finding::MissingName).count() == all().count();
        let certain = self.mode.recreate && self.found.code_blocks == 0 && (by_pg_dump || !only_objects);
        let status = if certain { Fail } else { Warn };
        let schemas = self.found.seen(Finding::MissingSchema).map(|(schema, _)| format!("schema {schema}"));
        let functions = self.found.seen(Finding::MissingFunction).map(|(function, _)| format!("function {function}"));
        let objects = self.found.seen(Finding::MissingName).map(|(name, _)| name.to_owned());
        let list: Vec<String> = schemas.chain(functions).chain(objects).collect();
        let what = check(
            name,
            status,
            format!("used but not created by the dump: {}", names(list.iter().map(String::as_str))),
        );
        let fix =
            "dump them as well (pg_dump without --table), or import without --recreate into a database that has them";
        with_evidence(fixed(what, fix), places(all()))
    }

    /// Views of columns that the target's version has removed from a system view.
    pub(super) fn system_views(&self) -> Check {
        let name = "system_views_unchanged";
        let target = major(&self.limits.target_version).unwrap_or(TARGET_MAJOR);
        let removed = |(column, _): &(&str, &Occurrences)| removed_in(column).is_some_and(|since| since <= target);
        let all = || self.found.seen(Finding::RemovedColumn).filter(removed);
        if all().next().is_none() {
            return check(name, Pass, "no view uses a removed column".into());
        }
        let columns = names(all().map(|(column, _)| column));
        let what = check(name, Fail, format!("views use columns that Postgres {target} does not have: {columns}"));
        let fix = "drop these views in the source, or exclude them from the dump, and create them again afterwards";
        with_evidence(fixed(what, fix), places(all()))
    }

    /// Checks that call functions: a function that reads another table fails if that is loaded later.
    pub(super) fn check_functions(&self) -> Check {
        let name = "checks_without_functions";
        if self.found.times(Finding::CheckFunction) == 0 {
            return check(name, Pass, "no CHECK constraint calls a function of the database".into());
        }
        let tables = plural(self.found.times(Finding::CheckFunction), "table has", "tables have");
        let what = check(name, Warn, format!("{tables} CHECK constraints that call functions"));
        let fix = "if such a function reads a table, drop the constraint before the dump and add it after the import";
        with_evidence(fixed(what, fix), places(self.found.seen(Finding::CheckFunction)))
    }

    /// Extensions that the dump uses but does not create, as with `pg_dump -n`.
    pub(super) fn extensions_created(&self) -> Check {
        let name = "extensions_created";
        let missing: Vec<_> = self.found.missing_extensions().collect();
        if missing.is_empty() {
            return check(name, Pass, "the dump creates the extensions that it uses".into());
        }
        let list = names(missing.iter().map(|(wanted, _)| wanted.name.as_str()));
        let evidence = missing.iter().take(5).map(|(wanted, place)| format!("{place}: {}", wanted.name)).collect();
        if self.mode.filters_plain_sql {
            let what = check(name, Pass, format!("used but not created by the dump, so the import creates: {list}"));
            return with_evidence(what, evidence);
        }
        let what = check(name, Warn, format!("used but not created by the dump: {list}"));
        with_evidence(
            fixed(what, "create them on the target first, or dump the whole database without --schema"),
            evidence,
        )
    }

    /// `DROP SCHEMA` of a schema that the import creates or that every database has.
    pub(super) fn dropped_schemas(&self) -> Check {
        let name = "no_dropped_schemas";
        let is_public = |(schema, _): &(&str, &Occurrences)| *schema == "public";
        let dropped = || self.found.seen(Finding::DroppedSchema).filter(is_public);
        if !self.mode.recreate && dropped().next().is_none() && self.found.seen(Finding::DroppedSchema).next().is_some()
        {
            let all = self.found.seen(Finding::DroppedSchema);
            let what = check(name, Warn, "the dump drops schemas with everything in them".into());
            return with_evidence(fixed(what, "remove the statements if the target's schemas hold data"), places(all));
        }
        if self.mode.recreate || dropped().next().is_none() {
            return check(name, Pass, "the dump drops no schema of the target".into());
        }
        let what = check(name, Fail, "the dump drops the schema public with everything in it".into());
        with_evidence(
            fixed(what, "import with --recreate to replace the database, or remove the statement"),
            places(dropped()),
        )
    }

    pub(super) fn roles(&self) -> Check {
        let name = "no_role_dependencies";
        let all = || {
            let kinds = [Finding::Owner, Finding::Grant, Finding::DefaultPrivileges, Finding::SetRole];
            kinds.into_iter().flat_map(|kind| self.found.seen(kind))
        };
        let mut roles = self.found.roles();
        roles.remove(self.mode.role.as_str());
        if roles.is_empty() {
            return check(name, Pass, "no other role is required".into());
        }
        let count = |kind, one, many| match self.found.times(kind) {
            0 => None,
            times => Some(plural(times, one, many)),
        };
        let parts: Vec<String> = [
            count(Finding::Owner, "OWNER TO", "OWNER TO"),
            count(Finding::Grant, "GRANT", "GRANT"),
            count(Finding::DefaultPrivileges, "default privilege", "default privileges"),
            count(Finding::SetRole, "SET ROLE", "SET ROLE"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let (parts, roles) = (parts.join(", "), names(roles));
        if self.unfiltered {
            let what = check(name, Fail, format!("{parts} for roles missing on the target: {roles}"));
            let fix =
                "dump again with --no-owner --no-privileges, or in custom format (-Fc), where the import skips them";
            return with_evidence(fixed(what, fix), places(all()));
        }
        let what = check(name, Pass, format!("skipped: {parts} of {roles}; the project's role will own all objects"));
        with_evidence(what, places(all()))
    }

    pub(super) fn policy_roles(&self) -> Check {
        let name = "policy_roles_present";
        // Every server has the predefined roles.
        let roles = self.found.policy_roles.iter().map(String::as_str).filter(|role| !role.starts_with("pg_"));
        let roles: BTreeSet<&str> = roles.collect();
        if roles.is_empty() {
            return check(name, Pass, "no policies for specific roles".into());
        }
        let what =
            check(name, Warn, format!("row security policies for roles missing on the target: {}", names(roles)));
        fixed(what, "the import creates these roles without login; the URL of one: capydb projects url --role NAME")
    }

    /// Fails if the target of an import in place has a table that the dump creates; warns if the kind of
    /// import is not decided.
    pub(super) fn names_free(&self) -> Check {
        let (status, existing) = match &self.mode.existing {
            ExistingTables::Ignored => (Pass, [].as_slice()),
            ExistingTables::Undecided(tables) => (Warn, tables.as_slice()),
            ExistingTables::Kept(tables) => (Fail, tables.as_slice()),
        };
        let taken = self.found.creates(existing);
        if taken.is_empty() {
            return check(NAMES_FREE, Pass, "no table of the dump exists on the target".into());
        }
        let list: Vec<String> = taken.iter().map(|(schema, name)| sql_name(&format!("{schema}.{name}"))).collect();
        let number = plural(taken.len() as u64, "table exists already", "tables exist already");
        let what = format!("{number} on the target: {}", names(list.iter().map(String::as_str)));
        let fix = "import with --recreate to replace the target's contents, or drop these tables there";
        fixed(check(NAMES_FREE, status, what), fix)
    }

    pub(super) fn settings(&self) -> Check {
        let name = "settings_known_to_target";
        let target = major(&self.limits.target_version).unwrap_or(TARGET_MAJOR);
        if self.found.format != Format::Plain {
            return check(name, Pass, "no SET commands".into());
        }
        let judged = |wanted: fn(SettingSupport) -> bool| {
            self.found.seen(Finding::Setting).filter(move |(setting, _)| wanted(support(setting, target)))
        };
        let unknown = || judged(|support| matches!(support, SettingSupport::Since(_) | SettingSupport::No));
        let guarded = || {
            judged(|support| support == SettingSupport::SuperuserOnly)
                .filter(|(name, _)| self.unfiltered || !HARMLESS.contains(name))
                .filter(|(name, _)| !self.mode.sets_replication_role || *name != "session_replication_role")
        };
        if unknown().next().is_some() {
            let settings = names(unknown().map(|(setting, _)| setting));
            let what = check(name, Fail, format!("Postgres {target} does not support: {settings}"));
            return with_evidence(
                fixed(what, "remove these lines, or dump with the pg_dump of the target's version"),
                places(unknown()),
            );
        }
        if guarded().next().is_some() {
            let settings = names(guarded().map(|(setting, _)| setting));
            let what = check(name, Fail, format!("superuser-only settings: {settings}"));
            return with_evidence(
                fixed(what, "remove these lines, because the import runs as the project's role"),
                places(guarded()),
            );
        }
        check(name, Pass, format!("Postgres {target} supports all settings"))
    }

    pub(super) fn transaction(&self) -> Check {
        let name = "no_transactions";
        if self.found.times(Finding::Transaction) == 0 {
            return check(name, Pass, "no transaction commands".into());
        }
        if !self.unfiltered {
            return check(name, Pass, "skipped: BEGIN and COMMIT, because the import is a single transaction".into());
        }
        let what = check(name, Fail, "transaction commands, but the import is a single transaction".into());
        let fix = "remove BEGIN and COMMIT; for large objects, where pg_dump writes them, dump with -Fc";
        with_evidence(fixed(what, fix), places(self.found.seen(Finding::Transaction)))
    }

    /// Objects that only a superuser can create.
    pub(super) fn superuser_objects(&self) -> Check {
        let name = "no_superuser_objects";
        let left = [
            (Finding::EventTrigger, "event trigger", "event triggers"),
            (Finding::Publication, "publication of all tables or a schema", "publications of all tables or a schema"),
            (Finding::Subscription, "subscription", "subscriptions"),
        ];
        let counts = |kinds: &[(Finding, &str, &str)]| -> Vec<String> {
            kinds
                .iter()
                .map(|(kind, one, many)| (self.found.times(*kind), one, many))
                .filter(|(times, ..)| *times > 0)
                .map(|(times, one, many)| plural(times, one, many))
                .collect()
        };
        let left_out = counts(&left);
        if self.found.times(Finding::Superuser) > 0 {
            let reasons = self.found.seen(Finding::Superuser).map(|(reason, _)| reason);
            let what = names(reasons.chain(left_out.iter().map(String::as_str)));
            let fix = "drop or replace these objects in the source, or exclude them from the dump (pg_restore -l, -L)";
            return with_evidence(fixed(check(name, Fail, what), fix), places(self.found.seen(Finding::Superuser)));
        }
        if left_out.is_empty() {
            return check(name, Pass, "none".into());
        }
        let evidence = places(left.iter().flat_map(|(kind, ..)| self.found.seen(*kind)));
        let what = left_out.join(", ");
        let (what, fix) = if self.unfiltered {
            (
                format!("only a superuser can create: {what}"),
                "dump in custom format (-Fc), where the import skips them, or add --no-publications --no-subscriptions",
            )
        } else {
            (format!("skipped (require superuser): {what}"), "check that the application does not need them")
        };
        with_evidence(fixed(check(name, self.fail_if_unfiltered(), what), fix), evidence)
    }

    pub(super) fn platform_schemas(&self) -> Check {
        let name = "no_platform_schemas";
        let Some((platform, signs)) = &self.platform else {
            return check(name, Pass, "no platform schemas found".into());
        };
        let schemas: Vec<&str> =
            self.found.schemas.iter().map(String::as_str).filter(|schema| platform.schemas.contains(schema)).collect();
        if schemas.is_empty() {
            return check(name, Pass, format!("no schemas of the {} platform", platform.name));
        }
        let what = check(
            name,
            Warn,
            format!("contains schemas of the {} platform: {}", platform.name, names(schemas.iter().copied())),
        );
        // The application may use the extensions in this schema.
        let own = schemas.iter().filter(|schema| **schema != "extensions");
        let exclude: Vec<String> = own.map(|schema| format!("-N {schema}")).collect();
        let fix = format!("these schemas are imported but unused; to exclude them: pg_dump -Fc {}", exclude.join(" "));
        with_evidence(fixed(what, fix), signs.iter().take(5).cloned().collect())
    }

    pub(super) fn platform_references(&self) -> Check {
        let name = "no_platform_references";
        let ours = |(schema, _): &(&str, &Occurrences)| {
            self.platform.as_ref().is_some_and(|(platform, _)| platform.schemas.contains(schema))
        };
        let all = || self.found.seen(Finding::PlatformKey).chain(self.found.seen(Finding::PlatformPolicy)).filter(ours);
        if all().next().is_none() {
            return check(name, Pass, "no foreign keys or policies reference a platform schema".into());
        }
        let number = |kind| self.found.seen(kind).filter(ours).map(|(_, seen)| seen.count).sum::<u64>();
        let (keys, policies) = (number(Finding::PlatformKey), number(Finding::PlatformPolicy));
        let what = format!(
            "{} and {} reference the platform's schemas",
            plural(keys, "foreign key", "foreign keys"),
            plural(policies, "policy", "policies")
        );
        let fix = "before the cutover, replace the users table and functions like auth.uid(), or drop these references";
        with_evidence(fixed(check(name, Warn, what), fix), places(all()))
    }

    pub(super) fn references(&self) -> Check {
        let name = "foreign_keys_self_contained";
        let all = || self.found.seen(Finding::MissingReference);
        if self.found.tables_for_data == 0 || all().next().is_none() {
            return check(name, Pass, "all referenced tables are in the dump".into());
        }
        // In an archive, a schema that is not created does not exist. In plain SQL, the target, an
        // extension or an unqualified name may provide the table.
        let missing = |(table, _): (&str, &Occurrences)| {
            let schema = table.split('.').next().unwrap_or_default();
            let of_extension = self.found.extensions.iter().any(|(wanted, _)| wanted.schema.as_deref() == Some(schema));
            // An extension may have tables in `public`.
            let in_public =
                schema == "public" && self.found.all_extensions().iter().any(|wanted| wanted.name != "plpgsql");
            !in_public && !of_extension && (schema == "public" || !self.found.schemas.contains(schema))
        };
        let is_complete = self.found.format != Format::Plain || (self.found.by_pg_dump && self.found.code_blocks == 0);
        let certain = self.mode.recreate && is_complete && all().any(missing);
        let status = if certain { Fail } else { Warn };
        let what = check(
            name,
            status,
            format!("foreign keys reference tables missing from the dump: {}", names(all().map(|(table, _)| table))),
        );
        let fix = "include these tables in the dump, or drop the foreign keys on the source before dumping";
        with_evidence(fixed(what, fix), places(all()))
    }
}
