//! Whether the role can read everything that a dump reads.

use super::super::{check, fixed, plural, with_evidence};
use super::{count, none_of};
use crate::source::risks::SourceRisks;
use crate::wire::{Check, CheckStatus};
use CheckStatus::{Fail, Pass};
use postgres_protocol::escape::{escape_identifier, escape_literal};
use std::collections::BTreeSet;

pub(super) fn readable(risks: &SourceRisks) -> Check {
    let name = "source_readable";
    let role = &risks.role;
    let grantee = escape_identifier(role);
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
            "run as the owner: GRANT USAGE ON SCHEMA {schemas} TO {grantee}; {}",
            all_in_schemas(&schemas, &grantee)
        );
        return with_evidence(fixed(what, fix), risks.closed_schemas.iter().take(5).cloned().collect());
    }
    if risks.unreadable.is_empty() && risks.unreadable_large_objects > 0 {
        let what = format!(
            "the role {role} has no SELECT privilege on {}",
            plural(risks.unreadable_large_objects, "large object", "large objects")
        );
        let fix = format!(
            "use the owner's URL; or run as the owner: DO $$ DECLARE o oid; BEGIN FOR o IN SELECT oid FROM \
             pg_largeobject_metadata WHERE pg_has_role(lomowner, 'usage') LOOP EXECUTE format('GRANT SELECT ON LARGE \
             OBJECT %s TO %I', o, {}); END LOOP; END $$",
            escape_literal(role).trim_start()
        );
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
    let grant = if risks.unreadable.len() > 5 {
        let schemas: BTreeSet<&str> = risks.unreadable.iter().map(|name| schema_of(name)).collect();
        all_in_schemas(&schemas.into_iter().collect::<Vec<_>>().join(", "), &grantee)
    } else {
        format!("GRANT SELECT ON {} TO {grantee}", risks.unreadable.join(", "))
    };
    let fix = format!("use the owner's URL; or run as the owner: {grant}");
    with_evidence(fixed(what, fix), risks.unreadable.iter().take(5).cloned().collect())
}

fn all_in_schemas(schemas: &str, grantee: &str) -> String {
    format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA {schemas} TO {grantee}; \
         GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schemas} TO {grantee}"
    )
}

/// The schema of a name that is quoted where necessary.
fn schema_of(name: &str) -> &str {
    let quoted = name.strip_prefix('"').and_then(|rest| rest.find("\".")).map(|end| &name[..end + 2]);
    quoted.or_else(|| name.split_once('.').map(|(schema, _)| schema)).unwrap_or(name)
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
