//! Writes configuration files with private permissions.

use anyhow::Context;
use std::path::Path;

/// Creates the directory of a file, accessible only to its owner.
pub(super) fn create_parent_dir(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().context("the path has no parent directory")?;
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder).with_context(|| format!("cannot create {}", folder.display()))
}

/// Atomically writes a file that only its owner can read. Creates missing directories.
pub(super) fn write_private(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    // If the file is a symbolic link, its target is replaced.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    create_parent_dir(path)?;
    Ok(crate::util::fs::write_private(path, &[text, b"\n"].concat())?)
}
