use super::RunAs;
use crate::preflight::TARGET_MAJOR;
use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The script that fetches a Postgres on Debian. The Makefile runs the same file.
const FETCH_DEBIAN: &str = include_str!("fetch-debian.sh");

/// A folder of Postgres programs: server and clients of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    bin: PathBuf,
    /// Major and minor version.
    pub version: (u32, u32),
}

/// The programs that move data, and who runs them.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Of the same major version as the target.
    pub programs: Programs,
    /// The user that they run as.
    pub run_as: Option<RunAs>,
}

impl Programs {
    /// Looks at a folder, which must hold server and clients.
    pub fn at(bin: &Path) -> anyhow::Result<Self> {
        for name in ["postgres", "initdb", "pg_ctl", "pg_dump", "pg_restore", "psql"] {
            if !bin.join(name).is_file() {
                bail!("{} has no {name}", bin.display());
            }
        }
        let output = Command::new(bin.join("postgres")).arg("--version").output();
        let output = output.with_context(|| format!("run {}", bin.join("postgres").display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = version(&text).with_context(|| {
            let said = crate::util::format::printable(&String::from_utf8_lossy(&output.stderr), 200);
            format!("{} does not run: {said}", bin.join("postgres").display())
        })?;
        Ok(Self { bin: bin.to_owned(), version })
    }

    /// Path of one program.
    pub fn path(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Where the programs lie.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Whether this psql knows `\restrict`, which locks all its other commands.
    pub fn psql_restricts(&self) -> bool {
        let since = [(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)];
        self.version.0 >= 18 || since.iter().any(|(major, minor)| self.version.0 == *major && self.version.1 >= *minor)
    }
}

/// `postgres (PostgreSQL) 17.11 (Debian …)`; a beta counts as minor 0.
fn version(text: &str) -> Option<(u32, u32)> {
    let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut parts = number.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

/// Finds the Postgres to run: the named folder; else a copy fetched before; else an installed
/// one of major 17 or later; else one is fetched; else an older installed one, with a warning.
/// `tell` gets lines for the person who waits.
pub fn find(named: Option<&Path>, tell: &dyn Fn(&str)) -> anyhow::Result<Programs> {
    if let Some(bin) = named {
        let programs = Programs::at(bin)?;
        if programs.version.0 < TARGET_MAJOR {
            tell(&older(&programs));
        }
        return Ok(programs);
    }
    let cache = cache_folder()?;
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
    tell(&format!(
        "No Postgres {TARGET_MAJOR} on this machine; fetching a private one into {} (once)",
        cached.display()
    ));
    match fetch(&cached) {
        Ok(bin) => Programs::at(&bin),
        Err(error) => {
            let Some(older) = installed.iter().max_by_key(|found| found.version) else {
                return Err(error.context(format!(
                    "no Postgres found; install Postgres {TARGET_MAJOR}, or name its programs with --postgres-bin DIR"
                )));
            };
            tell(&format!("Could not fetch Postgres {TARGET_MAJOR} ({error:#})"));
            tell(&self::older(older));
            Ok(older.clone())
        }
    }
}

/// What a target older than the hosted service's means.
fn older(programs: &Programs) -> String {
    let major = programs.version.0;
    format!("warning: the target is Postgres {major}, not {TARGET_MAJOR}: sources newer than {major} will be refused")
}

/// Where fetched copies are kept. Root's own cache folder would be closed to the user that
/// the server runs as.
fn cache_folder() -> anyhow::Result<PathBuf> {
    use etcetera::BaseStrategy;
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/cache/capydb/postgres"));
    }
    let base = etcetera::base_strategy::choose_base_strategy().context("find the cache folder")?;
    Ok(base.cache_dir().join("capydb").join("postgres"))
}

fn installed() -> Vec<Programs> {
    crate::source::pg_programs::folders_with("postgres").iter().filter_map(|bin| Programs::at(bin).ok()).collect()
}

fn fetch(into: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(into).with_context(|| format!("create {}", into.display()))?;
    let mut child = Command::new("bash")
        .args([OsStr::new("-s"), OsStr::new("--"), OsStr::new(&TARGET_MAJOR.to_string()), into.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("run bash")?;
    // The pipe ends here, so that bash sees the end of the script.
    child.stdin.take().context("no pipe to bash")?.write_all(FETCH_DEBIAN.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("the fetch failed; its lines above say why");
    }
    let bin = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(bin)
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn reads_versions() {
        assert_eq!(version("postgres (PostgreSQL) 17.11 (Debian 17.11-0+deb13u1)"), Some((17, 11)));
        assert_eq!(version("postgres (PostgreSQL) 18beta2"), Some((18, 0)));
        assert_eq!(version("oops"), None);
    }
}
