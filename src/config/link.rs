use serde::Deserialize;
use std::path::Path;

/// `.capydb/project.json` of a working directory. It holds no secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct LinkedProject {
    /// The project that commands here mean.
    pub project_id: String,
    /// Its name when it was linked.
    #[serde(default)]
    pub project_name: String,
    /// Its slug when it was linked.
    #[serde(default)]
    pub project_slug: String,
    /// The control plane that it lives on.
    #[serde(default)]
    pub api_url: String,
}

/// Reads the link of a directory, if it has one.
pub fn linked_project(directory: &Path) -> anyhow::Result<Option<LinkedProject>> {
    super::read_json(&directory.join(".capydb").join("project.json"))
}
