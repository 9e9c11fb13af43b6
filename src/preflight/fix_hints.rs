use super::{EXTENSIONS, SIZE, VERSION};
use crate::wire::CheckStatus;

/// What to do about a check that did not pass; `None` when nothing is to be done, or when
/// the check is one that this version does not know.
pub fn fix_hint(check: &str, status: CheckStatus) -> Option<&'static str> {
    match (check, status) {
        (_, CheckStatus::Pass) => None,
        (SIZE, CheckStatus::Warn) => Some(
            "it fits, with little room to grow; a larger plan, or deleting old rows before the import, leaves more",
        ),
        (SIZE, CheckStatus::Fail) => Some(
            "move the project to a larger plan, or make the source smaller (old rows, VACUUM FULL, unused indexes)",
        ),
        (VERSION, CheckStatus::Fail) => Some(
            "a newer server's dump does not load into an older one; import from a copy on the target's version or older",
        ),
        (EXTENSIONS, CheckStatus::Fail) => Some(
            "drop each of these on the source if nothing uses it (DROP EXTENSION name), or import from a copy without it",
        ),
        _ => None,
    }
}
