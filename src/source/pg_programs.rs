//! Finds the Postgres client programs on this machine.

use super::{SourceUrl, SslMode};
use crate::util::dirs::postgres_cache;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An installed `pg_dump`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgDump {
    /// Path of the executable.
    pub path: PathBuf,
    /// Major version.
    pub major: u32,
    /// Full version (`17.11 (Debian …)`).
    pub version: String,
}

/// Directories with one subdirectory per version, and the program directory inside it.
const PARENTS: [(&str, &str); 7] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/usr/local", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "bin"),
    ("/Library/PostgreSQL", "bin"),
];

/// Directories that contain a program: those on `PATH` first, then package directories.
pub fn directories_with(program: &str) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let mut packaged: BTreeSet<PathBuf> = BTreeSet::new();
    for (parent, below) in PARENTS {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        packaged.extend(entries.map(|entry| entry.path().join(below)));
    }
    // Red Hat packages install to /usr/pgsql-17.
    let entries = std::fs::read_dir("/usr").into_iter().flatten().flatten();
    packaged.extend(entries.map(|entry| entry.path()).filter(|path| named_pgsql(path)).map(|path| path.join("bin")));
    folders.extend(packaged);
    let mut seen = BTreeSet::new();
    // A relative PATH entry could point into a cloned, untrusted repository.
    folders.retain(|folder| folder.is_absolute() && folder.join(program).is_file());
    folders.retain(|folder| seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone())));
    folders
}

fn named_pgsql(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pgsql-"))
}

/// All working `pg_dump` programs on this machine, oldest first: in the directory that the user has named,
/// installed, or fetched by `capydb dev`.
pub fn pg_dumps(named: Option<PathBuf>) -> Vec<PgDump> {
    let folders = named.into_iter().chain(directories_with("pg_dump")).chain(fetched());
    let folders = folders.filter(|folder| folder.join("pg_dump").is_file());
    let mut found: Vec<PgDump> = folders.filter_map(|folder| at(&folder.join("pg_dump"))).collect();
    found.sort_by_key(|tool| tool.major); // stable sort: PATH stays before packages
    found
}

/// The program directories of the Postgres versions that `capydb dev` has fetched.
fn fetched() -> Vec<PathBuf> {
    let versions = postgres_cache().map(std::fs::read_dir).into_iter().flatten().flatten().flatten();
    versions.map(|version| version.path().join("usr/lib/postgresql").join(version.file_name()).join("bin")).collect()
}

fn at(path: &Path) -> Option<PgDump> {
    let output = Command::new(path)
        .arg("--version")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().strip_prefix("pg_dump (PostgreSQL) ")?;
    let major = version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    Some(PgDump { path: path.to_owned(), major, version: crate::util::format::printable(version, 80) })
}

/// The newest tool that is not older than the source and not newer than the target.
pub fn best_match(tools: &[PgDump], source: u32, target: u32) -> Option<&PgDump> {
    // `max_by_key` returns the last maximum; reversed, that is the first tool of a major version.
    tools.iter().rev().filter(|tool| (source..=target).contains(&tool.major)).max_by_key(|tool| tool.major)
}

/// The environment variables that connect libpq to a source. The password is passed here so
/// that it does not appear in the arguments.
///
/// `authorities` is the file of the URL's own certificate authorities, if it has any.
pub fn connection(url: &SourceUrl, authorities: Option<&Path>) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("PGHOST", url.host().to_owned()),
        ("PGPORT", url.port().to_string()),
        ("PGUSER", url.user()),
        ("PGDATABASE", url.database().to_owned()),
        ("PGSSLMODE", ssl_mode(url.ssl_mode()).to_owned()),
        ("PGGSSENCMODE", "disable".to_owned()),
    ];
    variables.extend(url.password().map(|password| ("PGPASSWORD", password)));
    variables.extend(url.channel_binding().map(|binding| ("PGCHANNELBINDING", binding)));
    variables.extend(url.options().map(|options| ("PGOPTIONS", options)));
    let own = authorities.map(|file| file.display().to_string());
    let roots = own.or_else(|| root_certificates(url.ssl_mode()));
    variables.extend(roots.map(|roots| ("PGSSLROOTCERT", roots)));
    variables
}

/// The value of `sslrootcert`, for the modes that verify the certificate.
pub(crate) fn root_certificates(mode: SslMode) -> Option<String> {
    let matters = matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull);
    matters.then(|| authorities().unwrap_or_else(|| "system".to_owned()))
}

/// Connection parameters that detect a source that stops responding.
pub const KEEPALIVES: &str = "keepalives_idle=30 keepalives_interval=10 keepalives_count=3 tcp_user_timeout=60000";

/// The file of trusted root certificates, the same one that our driver reads.
fn authorities() -> Option<String> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let file = named.or_else(|| openssl_probe::probe().cert_file)?;
    file.to_str().map(str::to_owned)
}

/// The `sslmode` for libpq. `verify-ca` becomes the stricter `verify-full` if the root
/// certificates are in no file (`sslrootcert=system` requires it).
pub(crate) fn ssl_mode(mode: SslMode) -> &'static str {
    match mode {
        SslMode::Disable => "disable",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa if authorities().is_some() => "verify-ca",
        SslMode::VerifyCa | SslMode::VerifyFull => "verify-full",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_pg_dump_fits_source_and_target() {
        let tool = |path: &str, major| PgDump { path: path.into(), major, version: major.to_string() };
        let tools = [tool("/a", 14), tool("/b", 16), tool("/path", 17), tool("/package", 17), tool("/c", 18)];
        let path =
            |source, target| best_match(&tools, source, target).map(|tool| tool.path.to_str().expect("a UTF-8 path"));
        assert_eq!(path(15, 17), Some("/path"));
        assert_eq!(path(15, 16), Some("/b"));
        assert_eq!(path(18, 17), None);
        assert_eq!(path(15, 15), None);
    }
}
