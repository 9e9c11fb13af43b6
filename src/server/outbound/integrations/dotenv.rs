//! Pushes to a `.env` file of this machine, for applications that run here.

use super::{Variables, reject_unknown};
use crate::server::metadata::DeliveryError;
use crate::util::fs::write_private_as;
use rustix::fs::OFlags;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// Maximum size of the file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

pub(super) fn settings(config: &Map<String, Value>) -> Result<Value, String> {
    reject_unknown(config, &["path"])?;
    let path = config.get("path").and_then(Value::as_str).unwrap_or_default();
    // A holder of an API key must not be able to overwrite other files.
    let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let named = name == ".env" || name.starts_with(".env.") || Path::new(name).extension() == Some("env".as_ref());
    let plain = Path::new(path).components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.starts_with('/') || !named || !plain || path.contains(char::is_control) {
        return Err("config.path must be an absolute path whose file is named .env, .env.NAME or NAME.env".to_owned());
    }
    Ok(json!({ "path": path }))
}

pub(super) async fn push(config: &Value, variables: Variables) -> Result<String, DeliveryError> {
    let path = config["path"].as_str().unwrap_or_default().to_owned();
    let file = PathBuf::from(&path);
    let written = tokio::task::spawn_blocking(move || write(&file, &variables)).await;
    match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(()) => Ok(path),
        Err(error) => {
            let message = format!("cannot write {path}: {error}");
            let permanent = error.kind() == io::ErrorKind::InvalidData;
            Err(DeliveryError { permanent, ..DeliveryError::transient(message) })
        }
    }
}

/// Sets the variables and keeps all other lines. The file is replaced atomically, and readable only by
/// its owner, because it contains passwords.
fn write(path: &Path, variables: &Variables) -> io::Result<()> {
    let (before, owner) = read(path)?;
    let owner = rustix::process::geteuid().is_root().then_some(owner);
    write_private_as(path, with_variables(&before, variables).as_bytes(), owner)
}

/// Content and owner (user and group id) of the file. A missing file is empty, with the owner of the
/// directory.
fn read(path: &Path) -> io::Result<(String, (u32, u32))> {
    let unfit = |message: &str| io::Error::new(io::ErrorKind::InvalidData, message);
    // A link could point to a file that its owner cannot read, and opening a pipe would block.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let mut file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = fs::metadata(path.parent().unwrap_or(path))?;
            return Ok((String::new(), (folder.uid(), folder.gid())));
        }
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(unfit("the path is a symbolic link; use the path of the file itself"));
        }
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(unfit("the path is not a regular file"));
    }
    if about.len() > MAX_FILE_BYTES {
        return Err(unfit("the file is larger than 1 MiB"));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((text, (about.uid(), about.gid())))
}

/// The text with these variables, each in its previous position or at the end.
fn with_variables(before: &str, variables: &Variables) -> String {
    let mut text = String::with_capacity(before.len() + 256);
    let mut open: Vec<&(&str, String)> = variables.iter().collect();
    let end = if before.contains("\r\n") { "\r\n" } else { "\n" };
    let (mut inside, mut dropping) = (None, false);
    for line in before.split_inclusive('\n') {
        let begins = inside.is_none();
        inside = quote_after(line, inside);
        if !begins {
            // A continued line of a multi-line value, which is kept or dropped as a whole.
            text.push_str(if dropping { "" } else { line });
            continue;
        }
        let bare = line.trim_start();
        let name = bare.strip_prefix("export ").unwrap_or(bare).split('=').next().unwrap_or_default().trim();
        dropping = variables.iter().any(|(key, _)| *key == name);
        if !dropping {
            text.push_str(line);
        } else if let Some(at) = open.iter().position(|(key, _)| *key == name) {
            let (key, value) = open.remove(at);
            let export = if bare.starts_with("export ") { "export " } else { "" };
            let _ = write!(text, "{export}{key}=\"{value}\"{end}"); // writing to a string does not fail
        } // duplicates are dropped
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(end);
    }
    for (key, value) in open {
        let _ = write!(text, "{key}=\"{value}\"{end}");
    }
    text
}

/// The quote that is still open after a line.
fn quote_after(line: &str, mut inside: Option<char>) -> Option<char> {
    let value = if inside.is_some() { line } else { line.split_once('=').map_or("", |(_, value)| value.trim_start()) };
    if inside.is_none() && !value.starts_with(['"', '\'', '`']) {
        return None;
    }
    let mut escaped = false;
    for c in value.chars() {
        match inside {
            _ if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(quote) if c == quote => inside = None,
            None if ['"', '\'', '`'].contains(&c) => inside = Some(c),
            None if c == '#' => break, // a comment after the value
            _ => {}
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        [("DATABASE_URL", "postgres://a".to_owned()), ("DATABASE_URL_UNPOOLED", "postgres://b".to_owned())]
    }

    #[test]
    fn other_lines_are_preserved() {
        assert_eq!(
            with_variables("", &variables()),
            "DATABASE_URL=\"postgres://a\"\nDATABASE_URL_UNPOOLED=\"postgres://b\"\n"
        );
        let before = "# mine\nKEY=1\nexport DATABASE_URL=old\nDATABASE_URL=older\nLAST=\"x y\"";
        let after = "# mine\nKEY=1\nexport DATABASE_URL=\"postgres://a\"\nLAST=\"x y\"\nDATABASE_URL_UNPOOLED=\"postgres://b\"\n";
        assert_eq!(with_variables(before, &variables()), after);
        assert_eq!(with_variables(after, &variables()), after);
        let crlf = "A=1\r\nDATABASE_URL=old\r\n";
        let expected = "A=1\r\nDATABASE_URL=\"postgres://a\"\r\nDATABASE_URL_UNPOOLED=\"postgres://b\"\r\n";
        assert_eq!(with_variables(crlf, &variables()), expected);
        let multiline = "KEY=\"one\nDATABASE_URL=inner\ntwo\" # it's a \"comment\nB='x'\n";
        assert!(with_variables(multiline, &variables()).starts_with(multiline));
        let multiline_value = "DATABASE_URL=\"one\ntwo\"\nB=2\n";
        assert!(with_variables(multiline_value, &variables()).starts_with("DATABASE_URL=\"postgres://a\"\nB=2\n"));
    }

    #[test]
    fn the_file_is_private_and_must_be_a_regular_file() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join(".env");
        fs::write(&path, "A=1\n").expect("a writable directory");
        write(&path, &variables()).expect("a writable file");
        assert_eq!(fs::metadata(&path).expect("an existing file").mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&path).expect("a readable file").starts_with("A=1\nDATABASE_URL="));
        assert_eq!(fs::read_dir(dir.path()).expect("a readable directory").count(), 1);
        let link = dir.path().join("link.env");
        std::os::unix::fs::symlink("/etc/hosts", &link).expect("a writable directory");
        let error = write(&link, &variables()).expect_err("links are not followed");
        assert_eq!(error.to_string(), "the path is a symbolic link; use the path of the file itself");
        let pipe = dir.path().join("pipe.env");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("a writable directory");
        assert_eq!(
            write(&pipe, &variables()).expect_err("pipes are rejected").to_string(),
            "the path is not a regular file"
        );
    }
}
