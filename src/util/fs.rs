//! Private files and free disk space.

use std::io::{self, Write};
use std::path::Path;

/// User id and group id of a file's owner.
pub type Owner = (u32, u32);

/// Atomically replaces a file with one that only its owner can read (mode 0600), and syncs it
/// to disk.
pub fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    write_private_as(path, text, None)
}

/// Like [`write_private`], but changes the owner, which requires root.
pub fn write_private_as(path: &Path, text: &[u8], owner: Option<Owner>) -> io::Result<()> {
    let missing = || io::Error::new(io::ErrorKind::InvalidInput, "the path has no parent directory or file name");
    let (folder, name) = path.parent().zip(path.file_name()).ok_or_else(missing)?;
    // The same prefix keeps the temporary file covered by ignore rules such as `.env*`.
    let prefix = format!("{}.capydb-", name.to_string_lossy());
    let mut file = tempfile::Builder::new().prefix(&prefix).tempfile_in(folder)?; // mode 0600
    file.write_all(text)?;
    change_owner(file.as_file(), owner)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(unix)]
fn change_owner(file: &std::fs::File, owner: Option<Owner>) -> io::Result<()> {
    owner.map_or(Ok(()), |(user, group)| std::os::unix::fs::fchown(file, Some(user), Some(group)))
}

#[cfg(not(unix))]
fn change_owner(_: &std::fs::File, _: Option<Owner>) -> io::Result<()> {
    Ok(())
}

/// Free bytes for unprivileged users on the file system of a directory; `None` if unknown.
pub fn free_disk(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(folder).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_private_file_replaces_a_world_readable_one() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("secret");
        std::fs::write(&path, "old").expect("a writable directory");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("a file of this user");
        write_private(&path, b"new").expect("a writable directory");
        assert_eq!(std::fs::read_to_string(&path).expect("a readable file"), "new");
        assert_eq!(path.metadata().expect("an existing file").permissions().mode() & 0o777, 0o600);
        assert_eq!(
            std::fs::read_dir(dir.path()).expect("a readable directory").count(),
            1,
            "no temporary file remains"
        );
        assert!(write_private(Path::new("/"), b"").is_err());
    }
}
