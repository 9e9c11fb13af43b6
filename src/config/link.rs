use super::write::write_private;
use anyhow::Context;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// `.capydb/project.json` of a working directory. It holds no secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkedProject {
    /// The project that commands here mean.
    pub project_id: String,
    /// Its name when it was linked.
    pub project_name: String,
    /// Its slug when it was linked.
    pub project_slug: String,
    /// The control plane that it lives on.
    pub api_url: String,
}

/// Where the link of a directory is.
pub fn link_path(directory: &Path) -> PathBuf {
    directory.join(".capydb").join("project.json")
}

/// Reads the link of a directory, if it has one.
pub fn linked_project(directory: &Path) -> anyhow::Result<Option<LinkedProject>> {
    let Some(file) = super::read_json::<Map<String, Value>>(&link_path(directory))? else { return Ok(None) };
    let text = |field: &str| file.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let link = LinkedProject {
        project_id: text("project_id"),
        project_name: text("project_name"),
        project_slug: text("project_slug"),
        api_url: text("api_url"),
    };
    Ok(Some(link).filter(|link| !link.project_id.is_empty()))
}

/// Links a directory to a project. Fields of other tools stay.
pub fn link_project(directory: &Path, link: &LinkedProject) -> anyhow::Result<PathBuf> {
    let path = link_path(directory);
    let mut file: Map<String, Value> = super::read_json(&path)?.unwrap_or_default();
    for (field, value) in [
        ("project_id", &link.project_id),
        ("project_name", &link.project_name),
        ("project_slug", &link.project_slug),
        ("api_url", &link.api_url),
    ] {
        file.insert(field.to_owned(), json!(value));
    }
    let text = serde_json::to_string_pretty(&file)?;
    write_private(&path, text.as_bytes()).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// Takes the link of a directory away; false when there was none.
pub fn unlink_project(directory: &Path) -> anyhow::Result<bool> {
    let path = link_path(directory);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        result => result.with_context(|| format!("remove {}", path.display()))?,
    }
    let _ = std::fs::remove_dir(path.with_file_name("")); // other tools may keep more there
    Ok(true)
}
