//! The saved logins.

use super::write::write_private;
use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// A saved login to one organization.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// Id of the organization; empty in the oldest files.
    pub organization_id: String,
    /// Display name of the organization.
    pub name: String,
    /// Slug of the organization.
    pub slug: String,
    /// The API key, if saved.
    pub api_key: Option<SecretString>,
    /// URL of the control plane, if saved.
    pub api_url: Option<String>,
    /// URL of the dashboard, if saved.
    pub app_url: Option<String>,
}

/// Path of the login file: `capydb/config.json` under the user's configuration directory.
/// `None` if there is no home directory.
pub fn login_path() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    let base = etcetera::base_strategy::choose_native_strategy().ok()?;
    // On macOS, the contract's configuration directory is what `etcetera` calls the data directory.
    let folder = if cfg!(target_os = "macos") { base.data_dir() } else { base.config_dir() };
    Some(folder.join("capydb").join("config.json"))
}

/// Reads the active login, in the current format (one entry per organization) or the old flat one.
pub fn saved_login(path: &Path) -> anyhow::Result<Option<Login>> {
    let Some(file) = read(path)? else { return Ok(None) };
    let organizations = organizations(&file);
    let active = file.get("active_org").and_then(Value::as_str);
    let named = active.and_then(|id| organizations.iter().find(|(known, _)| known.as_str() == id));
    // A single organization is active by default.
    let entry = named.or_else(|| organizations.iter().next().filter(|_| organizations.len() == 1));
    Ok(Some(match entry {
        Some((id, entry)) => login(id, entry),
        None => flat(&file),
    }))
}

/// The URL of another control plane for which the same organization is already saved.
pub fn saved_elsewhere(path: &Path, new: &Login) -> anyhow::Result<Option<String>> {
    let entries = organizations(&modern(path)?);
    let known = entries.get(&new.organization_id).and_then(|entry| login("", entry).api_url);
    let origin = |text: &str| url::Url::parse(text).map(|url| url.origin()).ok();
    Ok(known.filter(|known| new.api_url.as_deref().and_then(origin) != origin(known)))
}

/// Saves a login and makes it active. Preserves everything else in the file.
pub fn save_login(path: &Path, new: &Login) -> anyhow::Result<()> {
    let _lock = lock(path)?;
    let mut file = modern(path)?;
    let mut entry = organizations(&file).remove(&new.organization_id).unwrap_or_default();
    let key = new.api_key.as_ref().map(|key| key.expose_secret().to_owned());
    let set = [("api_key", key), ("api_url", new.api_url.clone()), ("app_url", new.app_url.clone())];
    let names = [("name", Some(new.name.clone())), ("slug", Some(new.slug.clone()))];
    for (field, value) in set.into_iter().chain(names) {
        entry.insert(field.to_owned(), json!(value));
    }
    let all = file.entry("organizations").or_insert_with(|| json!({}));
    if !all.is_object() {
        *all = json!({});
    }
    all[new.organization_id.as_str()] = Value::Object(entry);
    file.insert("active_org".to_owned(), json!(new.organization_id));
    store(path, &file)
}

/// Removes the active login or all logins, and returns the names of the removed ones. If one
/// login remains, it becomes active.
pub fn remove_logins(path: &Path, all: bool) -> anyhow::Result<Vec<String>> {
    let Some(active) = saved_login(path)? else { return Ok(Vec::new()) };
    let _lock = lock(path)?;
    let mut file = modern(path)?;
    let mut entries = organizations(&file);
    if active.api_key.is_none() && (!all || entries.is_empty()) {
        return Ok(Vec::new());
    }
    let name = |id: &str, entry: &Map<String, Value>| {
        let login = login(id, entry);
        [login.slug, login.name, login.organization_id].into_iter().find(|name| !name.is_empty()).unwrap_or_default()
    };
    let gone: Vec<String> = entries
        .iter()
        .filter(|(id, _)| all || **id == active.organization_id)
        .map(|(id, entry)| name(id, entry))
        .collect();
    entries.retain(|id, _| !all && *id != active.organization_id);
    let next = entries.keys().next().filter(|_| entries.len() == 1).cloned();
    file.insert("active_org".to_owned(), json!(next.unwrap_or_default()));
    file.insert("organizations".to_owned(), json!(entries));
    for field in FLAT_FIELDS {
        file.remove(field);
    }
    store(path, &file)?;
    Ok(if gone.is_empty() { vec!["the saved login".to_owned()] } else { gone })
}

/// The fields of the old format.
const FLAT_FIELDS: [&str; 6] =
    ["api_key", "api_url", "app_url", "organization_id", "organization_name", "organization_slug"];

fn read(path: &Path) -> anyhow::Result<Option<Map<String, Value>>> {
    super::read_json(path)
}

/// Reads the file in the current format, converting the old one.
fn modern(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let mut file = read(path)?.unwrap_or_default();
    let old = flat(&file);
    if old.api_key.is_some() && !old.organization_id.is_empty() {
        let mut entries = organizations(&file);
        let mut entry = Map::new();
        for (to, from) in [
            ("api_key", "api_key"),
            ("api_url", "api_url"),
            ("app_url", "app_url"),
            ("name", "organization_name"),
            ("slug", "organization_slug"),
        ] {
            entry.extend(file.remove(from).map(|value| (to.to_owned(), value)));
        }
        file.remove("organization_id");
        entries.entry(old.organization_id).or_insert(entry);
        file.insert("organizations".to_owned(), json!(entries));
    }
    Ok(file)
}

type Entries = std::collections::BTreeMap<String, Map<String, Value>>;

fn organizations(file: &Map<String, Value>) -> Entries {
    let entries = file.get("organizations").and_then(Value::as_object).cloned().unwrap_or_default();
    entries.into_iter().filter_map(|(id, entry)| Some((id, entry.as_object()?.clone()))).collect()
}

fn login(id: &str, entry: &Map<String, Value>) -> Login {
    let field = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned).filter(|text| !text.is_empty());
    Login {
        organization_id: id.to_owned(),
        name: field("name").unwrap_or_default(),
        slug: field("slug").unwrap_or_default(),
        api_key: field("api_key").map(SecretString::from),
        api_url: field("api_url"),
        app_url: field("app_url"),
    }
}

fn flat(file: &Map<String, Value>) -> Login {
    let text = |name: &str| file.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let entry = login(&text("organization_id"), file);
    Login { name: text("organization_name"), slug: text("organization_slug"), ..entry }
}

/// Locks the login file against concurrent changes until the lock is dropped.
fn lock(path: &Path) -> anyhow::Result<std::fs::File> {
    super::write::create_parent_dir(path)?;
    let lock = std::fs::File::create(path.with_extension("lock")).context("cannot lock the saved login")?;
    lock.lock().context("cannot lock the saved login")?;
    Ok(lock)
}

fn store(path: &Path, file: &Map<String, Value>) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(file)?;
    write_private(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("config.json");
        std::fs::write(&path, text).expect("a writable directory");
        (dir, path)
    }

    fn saved(text: &str) -> Login {
        let (_dir, path) = file(text);
        saved_login(&path).expect("a valid file").expect("a saved login")
    }

    fn key(login: &Login) -> Option<&str> {
        login.api_key.as_ref().map(ExposeSecret::expose_secret)
    }

    const TWO_ORGANIZATIONS: &str = r#"{"active_org":"b","other":1,"organizations":{"a":{"api_key":"ka","api_url":"ua",
        "more":[1]},"b":{"api_key":"kb","api_url":"ub","app_url":"x","name":"B","slug":"b"}}}"#;

    #[test]
    fn the_active_organization_is_used() {
        let login = saved(TWO_ORGANIZATIONS);
        assert_eq!((key(&login), login.api_url.as_deref(), login.slug.as_str()), (Some("kb"), Some("ub"), "b"));
    }

    #[test]
    fn a_single_organization_is_active() {
        assert_eq!(key(&saved(r#"{"organizations":{"a":{"api_key":"ka"}}}"#)), Some("ka"));
    }

    #[test]
    fn the_older_flat_format_is_read() {
        let login =
            saved(r#"{"api_key":"k","api_url":"u","organization_id":"o","organizations":null,"active_org":null}"#);
        assert_eq!((key(&login), login.api_url.as_deref()), (Some("k"), Some("u")));
    }

    fn login_to(id: &str) -> Login {
        Login {
            organization_id: id.into(),
            name: "New".into(),
            slug: "new".into(),
            api_key: Some("kn".to_owned().into()),
            api_url: Some("un".into()),
            app_url: None,
        }
    }

    #[test]
    fn a_new_login_keeps_the_others() {
        let (_dir, path) = file(TWO_ORGANIZATIONS);
        save_login(&path, &login_to("c")).expect("a writable directory");
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let config: Value = serde_json::from_str(&text).expect("valid JSON");
        assert_eq!((config["active_org"].as_str(), config["other"].as_i64()), (Some("c"), Some(1)));
        assert_eq!(config["organizations"]["a"]["more"][0], 1);
        assert_eq!(config["organizations"]["b"]["api_key"], "kb");
        assert_eq!(key(&saved_login(&path).expect("a valid file").expect("a saved login")), Some("kn"));
    }

    #[test]
    fn the_older_format_is_converted() {
        let (_dir, path) = file(r#"{"api_key":"k","api_url":"u","organization_id":"o","organization_name":"O"}"#);
        save_login(&path, &login_to("c")).expect("a writable directory");
        let config: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).expect("a readable file")).expect("valid JSON");
        assert_eq!(
            (&config["organizations"]["o"]["api_key"], &config["organizations"]["o"]["name"]),
            (&json!("k"), &json!("O"))
        );
        assert_eq!(config.get("api_key"), None);
    }

    #[test]
    fn logout_removes_only_the_active_login() {
        let (_dir, path) = file(TWO_ORGANIZATIONS);
        assert_eq!(remove_logins(&path, false).expect("a writable file"), ["b"]);
        assert_eq!(key(&saved_login(&path).expect("a valid file").expect("a saved login")), Some("ka"));
        assert_eq!(remove_logins(&path, true).expect("a writable file"), ["a"]);
        assert_eq!(key(&saved_login(&path).expect("a valid file").expect("a saved login")), None);
        assert!(remove_logins(&path, true).expect("a writable file").is_empty());
        let (_dir, path) = file(r#"{"api_key":"k","api_url":"u"}"#);
        assert_eq!(remove_logins(&path, false).expect("a writable file"), ["the saved login"]);
        assert!(!std::fs::read_to_string(&path).expect("a readable file").contains("\"k\""));
    }

    #[test]
    fn logout_from_all_removes_every_key() {
        let (_dir, path) = file(&TWO_ORGANIZATIONS.replace(r#""active_org":"b""#, r#""active_org":"""#));
        assert!(remove_logins(&path, false).expect("a writable file").is_empty(), "no login is active");
        assert_eq!(remove_logins(&path, true).expect("a writable file"), ["a", "b"]);
        assert!(!std::fs::read_to_string(&path).expect("a readable file").contains("\"ka\""));
    }

    #[test]
    fn an_organization_of_another_server_is_detected() {
        let (_dir, path) = file(&TWO_ORGANIZATIONS.replace("\"ub\"", "\"https://a.example/api\""));
        let saved_url = |url: &str| {
            let login = Login { organization_id: "b".into(), api_url: Some(url.into()), ..Login::default() };
            saved_elsewhere(&path, &login).expect("a valid file")
        };
        assert_eq!(saved_url("https://a.example/other"), None);
        assert_eq!(saved_url("https://b.example/api").as_deref(), Some("https://a.example/api"));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("capydb").join("config.json");
        save_login(&path, &login_to("c")).expect("a writable directory");
        let mode = |path: &Path| std::fs::metadata(path).expect("an existing file").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("a parent directory"))), (0o600, 0o700));
        let files =
            std::fs::read_dir(path.parent().expect("a parent directory")).expect("a readable directory").count();
        assert_eq!(files, 2, "the file and its lock");
    }

    #[test]
    fn an_invalid_file_is_reported_without_its_content() {
        let (_dir, path) = file(r#"{"api_key":"capy_live_canary" oops"#);
        let message = format!("{:#}", saved_login(&path).expect_err("an invalid file"));
        assert!(message.contains("config.json is not valid JSON: line 1"), "{message}");
        assert!(!message.contains("canary"), "{message}");
        assert!(save_login(&path, &login_to("c")).is_err(), "an invalid file is not overwritten");
    }

    #[test]
    fn debug_output_contains_no_key() {
        let output = format!("{:?}", saved(r#"{"api_key":"capy_live_canary"}"#));
        assert!(!output.contains("canary"), "{output}");
    }
}
