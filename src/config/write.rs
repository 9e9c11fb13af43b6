use anyhow::Context;
use std::path::Path;

/// Makes the folder of a file, for its owner alone.
pub(super) fn make_folder(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().context("it has no folder")?;
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder).with_context(|| format!("create {}", folder.display()))
}

/// Writes a file that only its owner may read, whole or not at all. Folders on the way are
/// made for their owner alone.
pub(super) fn write_private(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    // A file that is a link stays one: what it leads to is replaced.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    make_folder(path)?;
    Ok(crate::util::fs::write_private(path, &[text, b"\n"].concat())?)
}
