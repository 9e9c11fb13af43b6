//! Whether the role can read everything that a dump reads.

use super::super::{check, fixed, plural, with_evidence};
use super::{count, none_of};
use crate::source::risks::SourceRisks;
use crate::wire::{Check, CheckStatus};
use CheckStatus::{Fail, Pass};

pub(super) fn readable(risks: &SourceRisks) -> Check {
    let name = "source_readable";
    let role = &risks.role;
    if !risks.closed_schemas.is_empty() {
        let schemas = risks.closed_schemas.join(", ");
        let what = check(
            name,
            Fail,
            format!(
                "the role {role} has no USAGE privilege on {}",
                count(risks.closed_schemas.len(), "schema", "schemas")
            ),
        );
        let fix = format!(
            "run as the owner: GRANT USAGE ON SCHEMA {schemas} TO \"{role}\"; GRANT SELECT ON ALL TABLES IN SCHEMA {schemas} TO \"{role}\""
        );
        return with_evidence(fixed(what, fix), risks.closed_schemas.iter().take(5).cloned().collect());
    }
    if risks.unreadable.is_empty() && risks.unreadable_large_objects > 0 {
        let what = format!(
            "the role {role} has no SELECT privilege on {}",
            plural(risks.unreadable_large_objects, "large object", "large objects")
        );
        let fix = format!("use the owner's URL; or run as the owner: GRANT SELECT ON LARGE OBJECT … TO \"{role}\"");
        return fixed(check(name, Fail, what), fix);
    }
    if risks.unreadable.is_empty() {
        return check(name, Pass, format!("the role {role} can read all tables, sequences and large objects"));
    }
    let what = check(
        name,
        Fail,
        format!(
            "the role {role} has no SELECT privilege on {}",
            count(risks.unreadable.len(), "table or sequence", "tables and sequences")
        ),
    );
    let shown: Vec<&str> = risks.unreadable.iter().take(5).map(String::as_str).collect();
    let fix = format!("run as the owner: GRANT SELECT ON {} TO \"{role}\"; or use the owner's URL", shown.join(", "));
    with_evidence(fixed(what, fix), risks.unreadable.iter().take(5).cloned().collect())
}

pub(super) fn rows_visible(risks: &SourceRisks) -> Check {
    let what = |number| {
        format!(
            "row security hides rows of {} from the role {}, so pg_dump fails",
            count(number, "table", "tables"),
            risks.role
        )
    };
    none_of(
        "all_rows_visible",
        Fail,
        &risks.hidden_rows,
        what,
        "use the URL of a role with BYPASSRLS, or of the tables' owner unless FORCE ROW LEVEL SECURITY is set",
    )
}
