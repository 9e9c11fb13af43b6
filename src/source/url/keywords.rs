//! Connection strings of keywords and values: libpq's `host=… dbname=…`, the `Host=…;Database=…` of
//! .NET, and the options of a `psql` command.

use super::{SourceUrlError, encode};

/// Keywords that become a part of the URL; all others become its parameters.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<String>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    parameters: Vec<(String, String)>,
}

impl Parts {
    fn set(&mut self, keyword: &str, value: String) {
        let keyword = keyword.trim().to_ascii_lowercase();
        match keyword.as_str() {
            "host" | "server" | "data source" => self.host = Some(value),
            "port" => self.port = Some(value),
            "user" | "username" | "user id" | "userid" | "uid" | "user name" => self.user = Some(value),
            "password" | "pwd" => self.password = Some(value),
            "dbname" | "database" | "initial catalog" => self.database = Some(value),
            "ssl mode" => self.parameters.push(("sslmode".to_owned(), net_ssl_mode(&value))),
            _ => self.parameters.push((keyword, value)),
        }
    }

    fn into_url(self) -> Result<String, SourceUrlError> {
        let host = self.host.filter(|host| !host.is_empty()).ok_or(SourceUrlError::NoHost)?;
        // An IPv6 address needs brackets; a socket's directory is encoded.
        let host = if host.contains(':') && !host.starts_with('/') { format!("[{host}]") } else { encode_host(&host) };
        let port = self.port.map_or_else(String::new, |port| format!(":{}", encode(&port)));
        let user = encode(&self.user.ok_or(SourceUrlError::NoUser)?);
        let password = self.password.map_or_else(String::new, |password| format!(":{}", encode(&password)));
        let database = encode(&self.database.unwrap_or_else(|| user.clone()));
        let parameters: Vec<String> =
            self.parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let query = if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) };
        Ok(format!("postgres://{user}{password}@{host}{port}/{database}{query}"))
    }
}

fn encode_host(host: &str) -> String {
    if host.starts_with(['/', '@']) || host.contains([',', ' ', '@', '?', '#']) {
        encode(host)
    } else {
        host.to_owned()
    }
}

/// The values of Npgsql (`VerifyFull`) as libpq writes them.
fn net_ssl_mode(value: &str) -> String {
    match value.to_ascii_lowercase().as_str() {
        "verifyca" => "verify-ca".to_owned(),
        "verifyfull" => "verify-full".to_owned(),
        other => other.to_owned(),
    }
}

/// A URL from a string of keywords; `None` if the text is not one.
pub(super) fn of_connection_string(text: &str) -> Option<Result<String, SourceUrlError>> {
    let quote = text.find(['\'', '"']).unwrap_or(text.len());
    let pairs = if text[..quote].contains(';') { pairs_of_net(text) } else { pairs_of_libpq(text) }?;
    let is_known = |wanted: &[&str]| pairs.iter().any(|(name, _)| wanted.contains(&name.to_ascii_lowercase().as_str()));
    if !is_known(&["host", "server", "dbname", "database", "service", "data source"]) {
        return None;
    }
    let mut parts = Parts::default();
    for (name, value) in pairs {
        parts.set(&name, value);
    }
    Some(parts.into_url())
}

/// `Name=value;Name='value'`; in quotes, a doubled quote stands for one. `None` if the text is of another
/// form, or if a keyword occurs twice: then an unquoted value contains a semicolon.
fn pairs_of_net(text: &str) -> Option<Vec<(String, String)>> {
    let (mut pairs, mut rest): (Vec<(String, String)>, &str) = (Vec::new(), text);
    while !rest.trim_matches([' ', ';']).is_empty() {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_matches([' ', ';']).to_owned();
        let after = after.trim_start();
        let (value, next) = match after.chars().next().filter(|quote| ['"', '\''].contains(quote)) {
            Some(quote) => quoted_value(&after[1..], quote)?,
            None => after
                .split_once(';')
                .map_or((after.trim().to_owned(), ""), |(value, next)| (value.trim().to_owned(), next)),
        };
        if pairs.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            return None;
        }
        pairs.push((name, value));
        rest = next;
    }
    (!pairs.is_empty()).then_some(pairs)
}

/// The text up to a quote that is not doubled, and what follows the next semicolon.
fn quoted_value(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if c != quote {
            value.push(c);
        } else if characters.next_if(|(_, next)| *next == quote).is_some() {
            value.push(quote);
        } else {
            let after = text[at + 1..].trim_start();
            return (after.is_empty() || after.starts_with(';')).then_some((value, after));
        }
    }
    None
}

/// `name=value name='value'`, with backslash escapes (libpq, "Keyword/Value Connection Strings").
fn pairs_of_libpq(text: &str) -> Option<Vec<(String, String)>> {
    let (mut pairs, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        let (value, next) = value_of(after.trim_start())?;
        pairs.push((name.to_owned(), value));
        rest = next.trim_start();
    }
    (!pairs.is_empty()).then_some(pairs)
}

/// The first value of a text, and what follows; `None` if its quote does not end.
fn value_of(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => value.push(characters.next()?.1),
            '\'' if quoted => return Some((value, &text[at + 1..])),
            c if !quoted && c.is_whitespace() => return Some((value, &text[at..])),
            c => value.push(c),
        }
    }
    (!quoted).then_some((value, ""))
}

/// A client program that takes the options of libpq.
struct Program {
    name: &'static str,
    /// What its command is called.
    shown: &'static str,
    /// Its other options that take a value: letters and names.
    values: (&'static str, &'static [&'static str]),
}

const PROGRAMS: [Program; 2] = [
    Program {
        name: "psql",
        shown: "psql command",
        values: ("cfFvPRTLo", &["command", "file", "variable", "pset", "output", "log-file"]),
    },
    Program {
        name: "pg_dump",
        shown: "pg_dump command",
        values: (
            "fFjnNtTESZe",
            &["file", "format", "jobs", "schema", "exclude-schema", "table", "exclude-table", "encoding", "compress"],
        ),
    },
];

/// A URL from `psql URL`, `psql 'host=…'`, `PGPASSWORD=… psql -h HOST -U USER DATABASE` or the same with
/// pg_dump, and what the command is called; `None` if the text is not such a command.
pub(super) fn of_command(text: &str) -> Option<(&'static str, Result<String, SourceUrlError>)> {
    let words = shell_words(text)?;
    let is_program = |word: &String, program: &Program| word.rsplit('/').next() == Some(program.name);
    let (at, program) = words.iter().enumerate().find_map(|(at, word)| {
        PROGRAMS.iter().find(|program| is_program(word, program)).map(|program| (at, program))
    })?;
    Some((program.shown, url_of_command(program, &words[..at], &words[at + 1..])?))
}

fn url_of_command(
    program: &Program,
    before: &[String],
    arguments: &[String],
) -> Option<Result<String, SourceUrlError>> {
    if !before.iter().all(|word| word.contains('=') || ["env", "$", "export"].contains(&word.as_str())) {
        return None;
    }
    let mut parts = Parts::default();
    for (name, value) in before.iter().filter_map(|word| word.split_once('=')) {
        if let Some(keyword) = variable(name) {
            parts.set(keyword, value.to_owned());
        }
    }
    let mut positional = Vec::new();
    let mut remaining = arguments.iter();
    while let Some(word) = remaining.next() {
        let Some(option) = word.strip_prefix('-') else {
            positional.push(word.clone());
            continue;
        };
        let (name, attached) = split_option(option);
        let (letters, names) = program.values;
        let keyword = keyword_of_option(&name);
        if keyword.is_none() && !names.contains(&name.as_str()) && !(name.len() == 1 && letters.contains(&name)) {
            continue;
        }
        let value = attached.or_else(|| remaining.next().cloned()).unwrap_or_default();
        if let Some(keyword) = keyword {
            parts.set(keyword, value);
        }
    }
    if let Some(first) = positional.first() {
        if super::pasted::is_variable(first) {
            return Some(Err(SourceUrlError::Variable));
        }
        if first.contains("://") || first.contains('=') {
            return Some(with_password(first, parts.password));
        }
        parts.database = parts.database.or_else(|| Some(first.clone()));
        parts.user = parts.user.or_else(|| positional.get(1).cloned());
    }
    match parts.database.clone() {
        Some(text) if text.contains("://") || text.contains('=') => Some(with_password(&text, parts.password)),
        _ => Some(parts.into_url()),
    }
}

/// A URL or string inside a command, with the password of the command's environment.
fn with_password(text: &str, password: Option<String>) -> Result<String, SourceUrlError> {
    let (url, _) = super::pasted::to_url(text)?;
    let Some(password) = password else { return Ok(url) };
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?))) {
        Some((scheme, (user, rest))) if !user.contains([':', '/', '?']) => {
            Ok(format!("{scheme}://{user}:{}@{rest}", encode(&password)))
        }
        _ => Ok(url),
    }
}

/// `-hHOST`, `-h HOST`, `--host=HOST`, `--host HOST`: the option's name and an attached value.
fn split_option(option: &str) -> (String, Option<String>) {
    if let Some(long) = option.strip_prefix('-') {
        return match long.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (long.to_owned(), None),
        };
    }
    let mut characters = option.chars();
    let name = characters.next().map(String::from).unwrap_or_default();
    let attached = characters.as_str();
    (name, (!attached.is_empty()).then(|| attached.to_owned()))
}

fn keyword_of_option(name: &str) -> Option<&'static str> {
    Some(match name {
        "h" | "host" => "host",
        "p" | "port" => "port",
        "U" | "username" => "user",
        "d" | "dbname" => "dbname",
        _ => return None,
    })
}

/// The keyword that an environment variable of libpq sets.
fn variable(name: &str) -> Option<&'static str> {
    Some(match name {
        "PGHOST" => "host",
        "PGPORT" => "port",
        "PGUSER" => "user",
        "PGPASSWORD" => "password",
        "PGDATABASE" => "dbname",
        "PGSSLMODE" => "sslmode",
        _ => return None,
    })
}

/// Words of a shell command: quotes and backslashes, without expansions. `None` if a quote does not end.
fn shell_words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut begun) = (Vec::new(), String::new(), false);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\'' | '"' => {
                begun = true;
                loop {
                    match characters.next()? {
                        end if end == c => break,
                        '\\' if c == '"' => word.push(characters.next()?),
                        other => word.push(other),
                    }
                }
            }
            '\\' => word.extend(characters.next().filter(|next| *next != '\n')),
            c if c.is_whitespace() => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            c => word.push(c),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    Some(words)
}
