//! What is remembered between commands: the saved login, the linked project, and the names
//! of the environment variables. The files are shared with other CapyDB tools.

mod link;
mod login;
mod write;

pub use link::{LinkedProject, link_path, link_project, linked_project, unlink_project};
pub use login::{Login, forget_logins, login_path, save_login, saved_elsewhere, saved_login};

/// Overrides the control plane's address.
pub const ENV_API_URL: &str = "CAPYDB_API_URL";
/// Overrides the address of the dashboard, where a login is approved.
pub const ENV_APP_URL: &str = "CAPYDB_APP_URL";
/// The API key.
pub const ENV_API_KEY: &str = "CAPYDB_API_KEY";
/// The source URL, so that its password need not be an argument.
pub const ENV_SOURCE_URL: &str = "CAPYDB_SOURCE_URL";
/// Folder of Postgres programs for the control plane.
pub const ENV_POSTGRES_BIN: &str = "CAPYDB_POSTGRES_BIN";
/// The Postgres of a control plane's metadata.
pub const ENV_DATABASE_URL: &str = "CAPYDB_DATABASE_URL";
/// The Postgres of its projects' databases.
pub const ENV_TARGET_URL: &str = "CAPYDB_TARGET_URL";
/// The key that its secrets are sealed with.
pub const ENV_SECRET_KEY: &str = "CAPYDB_SECRET_KEY";

/// The hosted service.
pub const DEFAULT_API_URL: &str = "https://capydb.dev/api/capydb";

/// Where the hosted service lets people make a key.
pub const DASHBOARD_URL: &str = "https://capydb.dev/dashboard";

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Where uploads that are under way are remembered: below the user's folder for state, or for
/// data where the system has none. `None` when the machine names no home.
pub fn uploads_folder() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    let base = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(base.state_dir().unwrap_or_else(|| base.data_dir()).join("capydb").join("uploads"))
}

/// Reads a JSON file that need not exist.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    use anyhow::Context;
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    // The parser's own message may quote the text, and the text may hold a key.
    let value = serde_json::from_str(&text).map_err(|error| {
        anyhow::anyhow!("{} is not valid: line {}, column {}", path.display(), error.line(), error.column())
    })?;
    Ok(Some(value))
}
