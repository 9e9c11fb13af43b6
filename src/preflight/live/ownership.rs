//! Meaning that rests on who owns what: after an import, the project's role owns everything.

use super::super::{check, fixed, with_evidence};
use super::{count, none_of};
use crate::source::risks::SourceRisks;
use crate::wire::{Check, CheckStatus};
use CheckStatus::{Pass, Warn};

/// Name of the check of row-level security.
pub const ROW_SECURITY: &str = "row_security_applies";

/// Name of the check of functions and views with the rights of their owner.
pub const DEFINER_RIGHTS: &str = "definer_rights_kept";

/// Warns of row-level security, which does not apply to the owner of a table.
pub(super) fn row_security(risks: &SourceRisks) -> Check {
    row_security_of(&risks.row_security, &risks.policy_roles)
}

/// Grades tables with row-level security that is not forced, and the roles of their policies.
pub(in crate::preflight) fn row_security_of(tables: &[String], policy_roles: &[String]) -> Check {
    if tables.is_empty() {
        return check(ROW_SECURITY, Pass, "no row security without FORCE".into());
    }
    let number = count(tables.len(), "table has", "tables have");
    let what = format!("{number} row security that does not apply to the project's role, which will own them");
    // One command for one role; a name that needs quotes in SQL needs them in a shell.
    let first = policy_roles.first().map(|role| crate::util::format::printable(role.trim_matches('"'), 63));
    let role = match first {
        Some(role) if role.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => role,
        Some(role) => format!("'{}'", role.replace("\"\"", "\"").replace('\'', "'\\''")),
        None => "NAME".to_owned(),
    };
    let fix = format!(
        "connect the application as a role that owns nothing (capydb projects url --role {role}), \
         or after the import: ALTER TABLE … FORCE ROW LEVEL SECURITY"
    );
    let evidence = tables.iter().take(10).cloned().collect();
    with_evidence(fixed(check(ROW_SECURITY, Warn, what), fix), evidence)
}

/// Warns of functions and views that run with the rights of an owner who is not the owner of the tables.
pub(super) fn definer_rights(risks: &SourceRisks) -> Check {
    let functions = risks.definer_functions.iter().map(|name| format!("SECURITY DEFINER function {name}"));
    let views = risks.definer_views.iter().map(|name| format!("view {name} without security_invoker"));
    let all: Vec<String> = functions.chain(views).collect();
    let what = |number| {
        let objects = count(number, "function or view runs", "functions and views run");
        format!("{objects} with the rights of their owner, which is the owner of all tables after the import")
    };
    none_of(
        DEFINER_RIGHTS,
        Warn,
        &all,
        what,
        "check that they show no more than before; for views: ALTER VIEW … SET (security_invoker = true)",
    )
}
