//! Fixes for the checks of every source.

use super::{EXTENSIONS, SIZE, VERSION};
use crate::wire::CheckStatus;

/// The fix for a check; `None` if the check passed or this version does not know it.
pub fn fix_hint(check: &str, status: CheckStatus) -> Option<&'static str> {
    match (check, status) {
        (_, CheckStatus::Pass) => None,
        (SIZE, CheckStatus::Warn) => Some("choose a larger plan, or delete old rows before the import"),
        (SIZE, CheckStatus::Fail) => {
            Some("choose a larger plan, or shrink the source (delete old rows, VACUUM FULL, drop unused indexes)")
        }
        (VERSION, CheckStatus::Fail) => {
            Some("use a target of the source's major version or newer, or import a copy on an older version")
        }
        (EXTENSIONS, CheckStatus::Fail) => Some(
            "drop each extension on the source if nothing uses it (DROP EXTENSION name), or import from a copy without it",
        ),
        _ => None,
    }
}
