use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The saved login of the active organization.
#[derive(Debug, Clone)]
pub struct Login {
    /// The key, where one was saved.
    pub api_key: Option<SecretString>,
    /// The control plane, where one was saved.
    pub api_url: Option<String>,
}

/// Where the login is saved: `capydb/config.json` below the user's configuration folder.
/// `None` when the machine names no home.
pub fn login_path() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    let base = etcetera::base_strategy::choose_native_strategy().ok()?;
    // On macOS the configuration folder of the contract is the data folder of this crate.
    let folder = if cfg!(target_os = "macos") { base.data_dir() } else { base.config_dir() };
    Some(folder.join("capydb").join("config.json"))
}

/// Reads the saved login: today's form with one entry an organization, or the older flat one.
pub fn saved_login(path: &Path) -> anyhow::Result<Option<Login>> {
    let Some(file) = super::read_json::<LoginFile>(path)? else { return Ok(None) };
    let organizations = file.organizations.unwrap_or_default();
    let active = file.active_org.as_ref().and_then(|id| organizations.get(id));
    // With one organization there is no doubt which is meant.
    let only = organizations.values().next().filter(|_| organizations.len() == 1);
    let entry = active.or(only).unwrap_or(&file.flat);
    Ok(Some(Login { api_key: entry.api_key.clone(), api_url: entry.api_url.clone().filter(|url| !url.is_empty()) }))
}

#[derive(Deserialize)]
struct LoginFile {
    #[serde(default)]
    active_org: Option<String>,
    #[serde(default)]
    organizations: Option<BTreeMap<String, Entry>>,
    /// The older form has the entry's fields at the top.
    #[serde(flatten)]
    flat: Entry,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    api_key: Option<SecretString>,
    #[serde(default)]
    api_url: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn read(text: &str) -> Login {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).expect("written");
        saved_login(&path).expect("reads").expect("is there")
    }

    fn key(login: &Login) -> Option<&str> {
        login.api_key.as_ref().map(ExposeSecret::expose_secret)
    }

    #[test]
    fn the_active_organization_counts() {
        let login = read(
            r#"{"active_org":"b","organizations":{"a":{"api_key":"ka","api_url":"ua"},
                "b":{"api_key":"kb","api_url":"ub","app_url":"x","name":"B","slug":"b"}}}"#,
        );
        assert_eq!((key(&login), login.api_url.as_deref()), (Some("kb"), Some("ub")));
    }

    #[test]
    fn a_single_organization_needs_no_choice() {
        assert_eq!(key(&read(r#"{"organizations":{"a":{"api_key":"ka"}}}"#)), Some("ka"));
    }

    #[test]
    fn the_older_flat_form_is_read() {
        let login =
            read(r#"{"api_key":"k","api_url":"u","organization_id":"o","organizations":null,"active_org":null}"#);
        assert_eq!((key(&login), login.api_url.as_deref()), (Some("k"), Some("u")));
    }

    #[test]
    fn a_broken_file_is_named_without_its_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.json");
        std::fs::write(&path, r#"{"api_key":"capy_live_canary" oops"#).expect("written");
        let message = format!("{:#}", saved_login(&path).expect_err("is broken"));
        assert!(message.contains("config.json is not valid: line 1"), "{message}");
        assert!(!message.contains("canary"), "{message}");
    }

    #[test]
    fn a_login_shows_no_key() {
        let shown = format!("{:?}", read(r#"{"api_key":"capy_live_canary"}"#));
        assert!(!shown.contains("canary"), "{shown}");
    }
}
