//! Configuration: the saved login, the linked project and the environment variables. The files
//! are shared with other CapyDB tools.

mod dev;
mod link;
mod login;
mod write;

pub use dev::running_dev;
pub use link::{LinkedProject, link_path, link_project, linked_project, unlink_project};
pub use login::{Login, login_path, remove_logins, save_login, saved_elsewhere, saved_login};

/// Overrides the control plane's URL.
pub const ENV_API_URL: &str = "CAPYDB_API_URL";
/// Overrides the URL of the dashboard, where logins are approved.
pub const ENV_APP_URL: &str = "CAPYDB_APP_URL";
/// The API key.
pub const ENV_API_KEY: &str = "CAPYDB_API_KEY";
/// The source URL, to keep its password out of the arguments.
pub const ENV_SOURCE_URL: &str = "CAPYDB_SOURCE_URL";
/// Directory of the Postgres programs for the control plane.
pub const ENV_POSTGRES_BIN: &str = "CAPYDB_POSTGRES_BIN";
/// URL of the control plane's metadata database.
pub const ENV_DATABASE_URL: &str = "CAPYDB_DATABASE_URL";
/// URL of the Postgres server for project databases.
pub const ENV_TARGET_URL: &str = "CAPYDB_TARGET_URL";
/// The key that encrypts the control plane's secrets.
pub const ENV_SECRET_KEY: &str = "CAPYDB_SECRET_KEY";

/// URL of the hosted service.
pub const DEFAULT_API_URL: &str = "https://capydb.dev/api/capydb";

/// Where users of the hosted service create API keys.
pub const DASHBOARD_URL: &str = "https://capydb.dev/dashboard";

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The directory of Postgres programs that the environment names.
pub fn postgres_bin() -> Option<PathBuf> {
    std::env::var_os(ENV_POSTGRES_BIN).filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// The directory of upload journals, under the user's state directory or else data directory.
/// `None` if there is no home directory.
pub fn uploads_dir() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    let base = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(base.state_dir().unwrap_or_else(|| base.data_dir()).join("capydb").join("uploads"))
}

/// Reads a JSON file; `None` if the file does not exist.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    use anyhow::Context;
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    // The parser's message may quote the text, which may contain a key.
    let value = serde_json::from_str(&text).map_err(|error| {
        anyhow::anyhow!("{} is not valid JSON: line {}, column {}", path.display(), error.line(), error.column())
    })?;
    Ok(Some(value))
}
