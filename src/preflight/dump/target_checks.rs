//! Checks that depend on how a dump is run, and where.

use super::{ImportMode, places};
use crate::dump::settings::{HARMLESS, SettingSupport, support};
use crate::dump::{Contents, Finding, Format, Occurrences};
use crate::platforms::Platform;
use crate::preflight::{Limits, TARGET_MAJOR, check, fixed, names, plural, with_evidence};
use crate::util::format::major;
use crate::wire::{Check, CheckStatus};
use CheckStatus::{Fail, Pass, Warn};
use std::collections::BTreeSet;

/// The checks that depend on how the dump is run and where.
pub(super) struct Case<'a> {
    pub(super) found: &'a Contents,
    pub(super) limits: &'a Limits,
    pub(super) mode: &'a ImportMode,
    /// psql runs the script as it is, so its first error ends the import.
    pub(super) runs_as_is: bool,
    pub(super) platform: Option<(&'static Platform, Vec<String>)>,
}

impl Case<'_> {
    /// Fails where an error would end the import, warns where something is left behind.
    fn fatal_as_is(&self) -> CheckStatus {
        if self.runs_as_is { Fail } else { Warn }
    }

    pub(super) fn extension_schemas(&self) -> Check {
        let name = "extension_schemas_present";
        let there = |schema: &str| ["public", "pg_catalog"].contains(&schema) || self.found.schemas.contains(schema);
        let missing: Vec<_> = self
            .found
            .extensions
            .iter()
            .filter_map(|(wanted, place)| {
                Some((wanted, place, wanted.schema.as_deref().filter(|schema| !there(schema))?))
            })
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
            .map(|(wanted, place, schema)| format!("{place}: extension {} in schema {schema}", wanted.name))
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

    pub(super) fn roles(&self) -> Check {
        let name = "no_role_dependencies";
        let all = || {
            let kinds = [Finding::Owner, Finding::Grant, Finding::DefaultPrivileges, Finding::SetRole];
            kinds.into_iter().flat_map(|kind| self.found.seen(kind))
        };
        let mut roles = self.found.roles();
        roles.remove(self.mode.role.as_str());
        if roles.is_empty() {
            return check(name, Pass, "no owners and no privileges of others".into());
        }
        let count = |kind, one, many| match self.found.times(kind) {
            0 => None,
            times => Some(plural(times, one, many)),
        };
        let parts: Vec<String> = [
            count(Finding::Owner, "ownership", "ownerships"),
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

    pub(super) fn policy_roles(&self) -> Check {
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

    pub(super) fn settings(&self) -> Check {
        let name = "settings_known_to_target";
        let target = major(&self.limits.target_version).unwrap_or(TARGET_MAJOR);
        if self.found.format != Format::Plain {
            return check(name, Pass, "an archive brings none".into());
        }
        let judged = |wanted: fn(SettingSupport) -> bool| {
            self.found.seen(Finding::Setting).filter(move |(setting, _)| wanted(support(setting, target)))
        };
        let unknown = || judged(|support| matches!(support, SettingSupport::Since(_) | SettingSupport::No));
        let guarded = || {
            judged(|support| support == SettingSupport::SuperuserOnly)
                .filter(|(name, _)| self.runs_as_is || !HARMLESS.contains(name))
        };
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

    pub(super) fn transaction(&self) -> Check {
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
    pub(super) fn superuser_objects(&self) -> Check {
        let name = "no_superuser_objects";
        let left = [
            (Finding::EventTrigger, "event trigger", "event triggers"),
            (Finding::Publication, "publication of everything", "publications of everything"),
            (Finding::Subscription, "subscription", "subscriptions"),
        ];
        let fatal = [(Finding::Language, "object in an untrusted language", "objects in untrusted languages")];
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
            let fix = "rewrite the functions in SQL or PL/pgSQL";
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

    pub(super) fn platform_schemas(&self) -> Check {
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
        // Extensions live there, which the application uses.
        let own = schemas.iter().filter(|schema| **schema != "extensions");
        let exclude: Vec<String> = own.take(4).map(|schema| format!("-N {schema}")).collect();
        let fix = format!(
            "they come along as ordinary schemas that nothing serves; leave them out: pg_dump -Fc {}",
            exclude.join(" ")
        );
        with_evidence(fixed(what, fix), signs.iter().take(5).cloned().collect())
    }

    pub(super) fn platform_references(&self) -> Check {
        let name = "no_platform_references";
        let ours = |(schema, _): &(&str, &Occurrences)| {
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

    pub(super) fn references(&self) -> Check {
        let name = "foreign_keys_self_contained";
        let all = || self.found.seen(Finding::DanglingKey);
        if self.found.tables_for_data == 0 || all().next().is_none() {
            return check(name, Pass, "every foreign key's table is in the dump".into());
        }
        // In an archive of pg_dump a schema that is not made is not there; elsewhere the target,
        // an extension or an unqualified name may bring the table.
        let nowhere = |(table, _): (&str, &Occurrences)| {
            let schema = table.split('.').next().unwrap_or_default();
            let of_extension = self.found.extensions.iter().any(|(wanted, _)| wanted.schema.as_deref() == Some(schema));
            schema != "public" && !self.found.schemas.contains(schema) && !of_extension
        };
        let certain = self.mode.recreate && self.found.format != Format::Plain && all().any(nowhere);
        let status = if certain { Fail } else { Warn };
        let what = check(
            name,
            status,
            format!("foreign keys lead to tables that are not in the dump: {}", names(all().map(|(table, _)| table))),
        );
        let fix = "dump these tables as well, or drop the keys on the source before dumping";
        with_evidence(fixed(what, fix), places(all()))
    }
}
