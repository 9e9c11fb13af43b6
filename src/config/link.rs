//! The link of a working directory to a project.

use super::write::write_private;
use anyhow::Context;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The content of `.capydb/project.json`. Contains no secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkedProject {
    /// Id of the project.
    pub project_id: String,
    /// Name of the project when it was linked.
    pub project_name: String,
    /// Slug of the project when it was linked.
    pub project_slug: String,
    /// URL of the control plane.
    pub api_url: String,
}

/// Path of a directory's link file.
pub fn link_path(directory: &Path) -> PathBuf {
    directory.join(".capydb").join("project.json")
}

/// Reads a directory's link, if any.
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

/// Links a directory to a project. Preserves fields of other tools.
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
    write_private(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Unlinks a directory; returns false if it was not linked.
pub fn unlink_project(directory: &Path) -> anyhow::Result<bool> {
    let path = link_path(directory);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        result => result.with_context(|| format!("cannot remove {}", path.display()))?,
    }
    let _ = std::fs::remove_dir(path.with_file_name("")); // fails if other tools keep files there
    Ok(true)
}
