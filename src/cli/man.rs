use super::{CliError, output::Output};
use anyhow::Context;
use serde_json::json;
use std::path::Path;

/// Writes a manual page for every command.
pub(super) fn write(command: clap::Command, folder: &Path, output: &Output) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    clap_mangen::generate_to(command, folder).with_context(|| format!("write into {}", folder.display()))?;
    output.result(&format!("The pages are in {}.", folder.display()), || json!({ "folder": folder }));
    Ok(())
}
