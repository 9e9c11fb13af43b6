//! The check of extensions, and those that a target may have.

use super::{check, names};
use crate::wire::{Check, CheckStatus, Extension};

/// Extensions that the API allows, if the target server has them.
pub const ALLOWED_EXTENSIONS: [&str; 13] = [
    "pg_stat_statements",
    "pgcrypto",
    "uuid-ossp",
    "citext",
    "hstore",
    "pg_trgm",
    "vector",
    "postgis",
    "unaccent",
    "ltree",
    "fuzzystrmatch",
    "btree_gin",
    "btree_gist",
];

/// Name of the extension check.
pub const EXTENSIONS: &str = "extensions_available_on_target";

/// Fails with the names of all extensions that are not available on the target.
pub(super) fn extensions_available(extensions: &[Extension], available: &[String]) -> Check {
    let allowed = |name: &str| name == "plpgsql" || available.iter().any(|known| known == name);
    let listed = |wanted: bool| -> Vec<String> {
        let matching = extensions.iter().filter(|extension| allowed(&extension.name) == wanted);
        matching.map(|extension| crate::util::format::printable(&extension.name, 63)).collect()
    };
    let missing = listed(false);
    if !missing.is_empty() {
        return check(
            EXTENSIONS,
            CheckStatus::Fail,
            format!("not available on the target: {}", names(missing.iter().map(String::as_str))),
        );
    }
    let present = listed(true);
    let detail = if present.is_empty() {
        "none needed".to_owned()
    } else {
        format!("available: {}", names(present.iter().map(String::as_str)))
    };
    check(EXTENSIONS, CheckStatus::Pass, detail)
}
