//! `capydb man`: generates man pages.

use super::{CliError, output::Output};
use anyhow::Context;
use serde_json::json;
use std::path::Path;

/// Writes a man page for every command.
pub(super) fn write(command: clap::Command, folder: &Path, output: &Output) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    clap_mangen::generate_to(command, folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    output.result(&format!("Wrote the man pages to {}.", folder.display()), || json!({ "folder": folder }));
    Ok(())
}
