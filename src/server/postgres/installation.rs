//! Finds Postgres programs on this machine, or fetches them.

use super::RunAs;
use crate::preflight::TARGET_MAJOR;
use crate::util::dirs::postgres_cache;
use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The script that fetches Postgres on Debian. The Makefile runs the same file.
const FETCH_DEBIAN: &str = include_str!("fetch-debian.sh");

/// A directory of Postgres programs: server and clients of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    bin: PathBuf,
    /// Major and minor version.
    pub version: (u32, u32),
}

/// The programs that move data, and the user to run them as.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The programs, of the same major version as the target.
    pub programs: Programs,
    /// The user to run them as, if not the current one.
    pub run_as: Option<RunAs>,
}

impl Programs {
    /// Reads the version of a directory of programs. Fails unless it contains server and clients.
    pub fn at(bin: &Path) -> anyhow::Result<Self> {
        for name in ["postgres", "initdb", "pg_ctl", "pg_dump", "pg_restore", "psql"] {
            if !bin.join(name).is_file() {
                bail!("{} does not contain {name}", bin.display());
            }
        }
        let output = Command::new(bin.join("postgres")).arg("--version").output();
        let output = output.with_context(|| format!("cannot run {}", bin.join("postgres").display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = version(&text).with_context(|| {
            let stderr = crate::util::format::printable(&String::from_utf8_lossy(&output.stderr), 200);
            format!("{} fails to run: {stderr}", bin.join("postgres").display())
        })?;
        Ok(Self { bin: bin.to_owned(), version })
    }

    /// Path of one program.
    pub fn path(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// The directory of the programs.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Whether this psql has `\restrict`, which disables all its other meta-commands.
    pub fn psql_has_restrict(&self) -> bool {
        let since = [(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)];
        self.version.0 >= 18 || since.iter().any(|(major, minor)| self.version.0 == *major && self.version.1 >= *minor)
    }
}

/// Parses `postgres (PostgreSQL) 17.11 (Debian …)`; a beta counts as minor 0.
fn version(text: &str) -> Option<(u32, u32)> {
    let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut parts = number.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

/// Finds the Postgres to run, in this order: the configured directory, an earlier fetched copy, an
/// installed one of major 17 or later, a newly fetched one, an older installed one with a warning.
/// `report` receives progress messages for the user.
pub fn find(named: Option<&Path>, report: &dyn Fn(&str)) -> anyhow::Result<Programs> {
    if let Some(bin) = named {
        let programs = Programs::at(bin)?;
        if programs.version.0 < TARGET_MAJOR {
            report(&older(&programs));
        }
        return Ok(programs);
    }
    let cache = postgres_cache().context("cannot find the cache directory")?;
    let cached = cache.join(TARGET_MAJOR.to_string());
    let cached_bin = cached.join(format!("usr/lib/postgresql/{TARGET_MAJOR}/bin"));
    if cached.join("READY").is_file()
        && let Ok(programs) = Programs::at(&cached_bin)
    {
        return Ok(programs);
    }
    let installed = installed();
    if let Some(programs) =
        installed.iter().filter(|found| found.version.0 >= TARGET_MAJOR).min_by_key(|found| found.version)
    {
        return Ok(programs.clone());
    }
    report(&format!("No Postgres {TARGET_MAJOR} found; downloading a private copy to {} (once)", cached.display()));
    match fetch(&cached) {
        Ok(bin) => Programs::at(&bin),
        Err(error) => {
            let Some(older) = installed.iter().max_by_key(|found| found.version) else {
                return Err(error.context(format!(
                    "no Postgres found; install Postgres {TARGET_MAJOR}, or choose its programs with --postgres-bin DIR"
                )));
            };
            report(&format!("Could not download Postgres {TARGET_MAJOR} ({error:#})"));
            report(&self::older(older));
            Ok(older.clone())
        }
    }
}

/// The warning for a target that is older than that of the hosted service.
fn older(programs: &Programs) -> String {
    let major = programs.version.0;
    format!("warning: the target is Postgres {major}, not {TARGET_MAJOR}: sources newer than {major} will be rejected")
}

fn installed() -> Vec<Programs> {
    crate::source::pg_programs::directories_with("postgres").iter().filter_map(|bin| Programs::at(bin).ok()).collect()
}

fn fetch(into: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(into).with_context(|| format!("cannot create {}", into.display()))?;
    let mut child = Command::new("bash")
        .args([OsStr::new("-s"), OsStr::new("--"), OsStr::new(&TARGET_MAJOR.to_string()), into.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run bash")?;
    // Dropping the pipe marks the end of the script for bash.
    child.stdin.take().context("cannot open a pipe to bash")?.write_all(FETCH_DEBIAN.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("the download failed; see the messages above");
    }
    let bin = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(bin)
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_parsed() {
        assert_eq!(version("postgres (PostgreSQL) 17.11 (Debian 17.11-0+deb13u1)"), Some((17, 11)));
        assert_eq!(version("postgres (PostgreSQL) 18beta2"), Some((18, 0)));
        assert_eq!(version("oops"), None);
    }
}
