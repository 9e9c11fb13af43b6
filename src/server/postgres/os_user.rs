//! The unprivileged user for Postgres and the programs of imports.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The unprivileged user that Postgres and the programs of imports run as if the control plane was
/// started by root: the server refuses to run as root, and dumps are untrusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAs {
    /// User name, for messages.
    pub name: String,
    /// Numeric user id.
    pub uid: u32,
    /// Numeric group id.
    pub gid: u32,
}

/// For root, the user `postgres` or else `nobody`; `None` for all other users.
pub fn run_as() -> anyhow::Result<Option<RunAs>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let found = ["postgres", "nobody"].iter().find_map(|name| entry(&users, name));
    found.map(Some).ok_or_else(|| {
        anyhow::anyhow!(
            "Postgres cannot run as root, and neither user postgres nor nobody exists; start as another user"
        )
    })
}

fn entry(users: &str, wanted: &str) -> Option<RunAs> {
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, ..] = fields.as_slice() else { return None };
        (*name == wanted)
            .then(|| Some(RunAs { name: (*name).into(), uid: uid.parse().ok()?, gid: gid.parse().ok()? }))?
    })
}

impl RunAs {
    /// Fails unless the user can enter the directory and all its parents.
    pub fn check_reachable(&self, path: &Path) -> anyhow::Result<()> {
        let mut test = Command::new("test");
        let status = test.arg("-x").arg(path).current_dir("/").uid(self.uid).gid(self.gid).status()?;
        if !status.success() {
            anyhow::bail!(
                "under root, the Postgres programs run as user {}, which cannot enter {}; \
                 choose a directory open to all users, such as /var/lib/capydb",
                self.name,
                path.display()
            );
        }
        Ok(())
    }

    /// Makes this user the owner of a file or directory.
    pub fn own(&self, path: &Path) -> std::io::Result<()> {
        std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))
    }
}

/// Creates a file that only this user can read. The user may own the directory, so an existing file of
/// this name is replaced and a link is never followed.
pub fn private_file(path: &Path, user: Option<&RunAs>) -> std::io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    if let Some(user) = user {
        std::os::unix::fs::fchown(&file, Some(user.uid), Some(user.gid))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwd_entries_are_parsed() {
        let users = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
        assert_eq!(entry(users, "nobody"), Some(RunAs { name: "nobody".into(), uid: 65534, gid: 65534 }));
        assert_eq!(entry(users, "postgres"), None);
    }
}
