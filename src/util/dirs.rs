//! Directories of this machine that the command line and the control plane share.

use etcetera::BaseStrategy;
use std::path::PathBuf;

/// The file in the data directory that holds the API key.
pub const DEV_KEY_FILE: &str = "api-key";
/// The file in the data directory that holds the base URL of the API.
pub const DEV_URL_FILE: &str = "api-url";
/// The file in the data directory that a running process locks.
pub const DEV_LOCK_FILE: &str = "lock";

/// Overrides the default data directory of `capydb dev`.
pub const ENV_DEV_DIR: &str = "CAPYDB_DEV_DIR";

/// The default data directory of `capydb dev`. For root it is outside root's home, which the user that
/// Postgres runs as cannot enter. `None` if there is no home directory.
pub fn dev_data_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os(ENV_DEV_DIR).filter(|dir| !dir.is_empty()) {
        return Some(dir.into());
    }
    #[cfg(unix)]
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/capydb/dev"));
    }
    Some(etcetera::base_strategy::choose_base_strategy().ok()?.data_dir().join("capydb").join("dev"))
}

/// The directory of the Postgres versions that `capydb dev` has fetched, one subdirectory each. For root it is
/// outside root's home, which the user that a server runs as cannot enter. `None` if there is no home directory.
pub fn postgres_cache() -> Option<PathBuf> {
    #[cfg(unix)]
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/cache/capydb/postgres"));
    }
    Some(etcetera::base_strategy::choose_base_strategy().ok()?.cache_dir().join("capydb").join("postgres"))
}
