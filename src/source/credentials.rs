//! Credentials that libpq would find on this machine: `PGPASSWORD`, the password file, and service files
//! (libpq, "The Password File" and "The Connection Service File"). Only for what this machine dials.

use super::SourceUrl;
use std::path::{Path, PathBuf};

/// Where a password was found, or why a password file was ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// The URL has a password, or none was found.
    Url,
    /// The environment variable `PGPASSWORD`.
    Environment,
    /// This file.
    File(PathBuf),
    /// Others may read this file, so it was ignored, as libpq does.
    Exposed(PathBuf),
}

/// Adds the password that libpq would use to a URL without one.
pub fn with_password(url: SourceUrl) -> (SourceUrl, PasswordSource) {
    if url.password().is_some() {
        return (url, PasswordSource::Url);
    }
    if let Some(password) = std::env::var("PGPASSWORD").ok().filter(|password| !password.is_empty()) {
        return (url.with_password(&password), PasswordSource::Environment);
    }
    let Some(path) = file("PGPASSFILE", ".pgpass") else { return (url, PasswordSource::Url) };
    let Ok(text) = std::fs::read_to_string(&path) else { return (url, PasswordSource::Url) };
    let Some(password) = password_in(&text, &url) else { return (url, PasswordSource::Url) };
    if is_exposed(&path) {
        return (url, PasswordSource::Exposed(path));
    }
    (url.with_password(&password), PasswordSource::File(path))
}

/// The file that an environment variable names, or the one in the home directory.
fn file(variable: &str, name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(std::env::home_dir()?.join(name)))
}

#[cfg(unix)]
fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_path: &Path) -> bool {
    false
}

/// The password of the first line `host:port:database:user:password` that matches.
fn password_in(text: &str, url: &SourceUrl) -> Option<String> {
    let (port, user) = (url.port().to_string(), url.user());
    text.lines().filter(|line| !line.starts_with('#')).map(fields).find_map(|line| {
        let [host, line_port, database, line_user, password] = <[String; 5]>::try_from(line).ok()?;
        let is = |field: &str, value: &str| field == "*" || field == value;
        let is_host = is(&host, url.host()) || (url.is_socket() && host == "localhost");
        let matches = is_host && is(&line_port, &port) && is(&database, url.database()) && is(&line_user, &user);
        matches.then_some(password)
    })
}

/// Fields of a line, of which the last is the rest; a backslash escapes a colon or a backslash.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        let last = fields.len() - 1;
        match c {
            '\\' => fields[last].extend(characters.next()),
            ':' if last < 4 => fields.push(String::new()),
            c => fields[last].push(c),
        }
    }
    fields
}

/// Replaces `service=NAME` in a connection string, or in a URL without a host, by the entries of the
/// service file. `None` if the text names no service; `Err` holds the name of a service that was not found.
pub fn with_service(text: &str) -> Option<Result<String, String>> {
    let (name, others) = service_of(text.trim())?;
    let files = [file("PGSERVICEFILE", ".pg_service.conf"), system_file()];
    let entries = files.into_iter().flatten().find_map(|path| service_in(&std::fs::read_to_string(path).ok()?, &name));
    Some(match entries {
        // The last value of a keyword wins.
        Some(entries) => Ok([entries, others].concat().join(" ")),
        None => Err(name),
    })
}

fn system_file() -> Option<PathBuf> {
    std::env::var_os("PGSYSCONFDIR").map(|dir| Path::new(&dir).join("pg_service.conf"))
}

/// The service that a text names, and its other entries as `keyword=value`.
fn service_of(text: &str) -> Option<(String, Vec<String>)> {
    let pairs: Vec<String> = match text.split_once(":///") {
        Some((_, rest)) => {
            let (database, query) = rest.split_once('?')?;
            let database = (!database.is_empty()).then(|| format!("dbname={database}"));
            database.into_iter().chain(query.split('&').map(str::to_owned)).collect()
        }
        None => text.split_whitespace().map(str::to_owned).collect(),
    };
    let name = pairs.iter().find_map(|pair| pair.strip_prefix("service="))?.to_owned();
    Some((name, pairs.into_iter().filter(|pair| !pair.starts_with("service=")).collect()))
}

/// The entries of a service as `keyword='value'`.
fn service_in(text: &str, name: &str) -> Option<Vec<String>> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.find(|line| line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) == Some(name))?;
    let entries = lines.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('='));
    let quoted = |value: &str| value.trim().replace('\\', "\\\\").replace('\'', "\\'");
    Some(entries.map(|(keyword, value)| format!("{}='{}'", keyword.trim(), quoted(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_is_matched_as_libpq_does() {
        let url = |text: &str| SourceUrl::parse_local(text).expect("a valid URL");
        let text = "# comment\nother:5432:*:*:no\ndb.example.com:*:shop:ann:a\\:b\\\\c:d\n*:*:*:*:any\n";
        assert_eq!(password_in(text, &url("postgres://ann@db.example.com/shop")).as_deref(), Some("a:b\\c:d"));
        assert_eq!(password_in(text, &url("postgres://bob@db.example.com:6000/shop")).as_deref(), Some("any"));
        assert_eq!(password_in("localhost:5432:d:u:p", &url("postgres://u@%2Ftmp/d")).as_deref(), Some("p"));
        assert_eq!(password_in("h:5432:d:u", &url("postgres://u@h/d")), None);
    }

    #[test]
    fn a_service_is_replaced_by_its_entries() {
        assert_eq!(service_of("service=shop user=ann"), Some(("shop".into(), vec!["user=ann".into()])));
        assert_eq!(
            service_of("postgres:///db?service=shop&sslmode=disable"),
            Some(("shop".into(), vec!["dbname=db".into(), "sslmode=disable".into()]))
        );
        assert_eq!(service_of("postgres://u@h/d"), None);
        let text = "[a]\nhost=x\n# c\n[shop]\nhost = h\npassword=it's\n\n[b]\nport=1\n";
        assert_eq!(service_in(text, "shop"), Some(vec!["host='h'".into(), "password='it\\'s'".into()]));
        assert_eq!(service_in(text, "none"), None);
    }
}
