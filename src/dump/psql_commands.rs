//! psql meta-commands in plain SQL. Those that only change psql's output are skipped, the two that
//! pg_dump writes too; all others are refused.

use super::encoding::Encoding;
use super::tokens::{Token, Tokens};
use std::collections::BTreeSet;

/// Reason to refuse a psql command within a statement.
pub const INSIDE_STATEMENT: &str = "psql command in the middle of a statement";

/// Commands that only change how psql prints or reports.
const HARMLESS: [&str; 16] = [
    "\\restrict",
    "\\unrestrict",
    "\\set",
    "\\unset",
    "\\timing",
    "\\echo",
    "\\qecho",
    "\\warn",
    "\\pset",
    "\\x",
    "\\a",
    "\\t",
    "\\f",
    "\\H",
    "\\T",
    "\\errverbose",
];

/// The psql commands of a script so far, which decide on later ones.
#[derive(Debug, Clone, Default)]
pub struct PsqlCommands {
    /// The variables that `\set` has defined.
    variables: BTreeSet<String>,
    /// The database that `\connect` has named.
    connected: Option<String>,
}

impl PsqlCommands {
    /// Why a command cannot be part of an import; `None` if it is skipped. `may_connect` allows
    /// `\connect` to one database, which the dump creates.
    pub fn refusal(&mut self, command: &[u8], may_connect: bool) -> Option<String> {
        let name = command_name(command);
        if command.contains(&b'`') {
            return Some(format!("the psql command {name} runs a program"));
        }
        if has_another(command) {
            return Some("several psql commands in one line".to_owned());
        }
        let argument = argument(command);
        match name.as_str() {
            "\\set" => {
                self.variables.extend(argument);
                None
            }
            "\\encoding" if argument.as_deref().is_some_and(|name| Encoding::parse(name) == Encoding::Utf8) => None,
            "\\connect" | "\\c" if may_connect && (self.connected.is_none() || self.connected == argument) => {
                self.connected = argument;
                None
            }
            _ if HARMLESS.contains(&name.as_str()) => None,
            _ => Some(format!("the psql command {name} is not allowed")),
        }
    }

    /// A variable that psql would have replaced in statements: one that `\set` has defined, or one of psql's
    /// own in a form that is not SQL.
    pub fn used_variable(&self, statements: &[u8]) -> Option<String> {
        // Reading tokens is slow, and dumps seldom use a variable.
        let appears = |form: &[u8]| memchr::memmem::find(statements, form).is_some();
        let in_form = |name: &str| {
            [format!(":'{name}'"), format!(":\"{name}\""), format!(":{{?{name}}}")]
                .iter()
                .any(|form| appears(form.as_bytes()))
        };
        // Without `\set`, only the form that scripts use is searched: each search reads all `INSERT`s once more.
        let has_form = appears(b":'") || !self.variables.is_empty() && (appears(b":\"") || appears(b":{?"));
        let may_use = |name: &&str| has_form && in_form(name) || appears(format!(":{name}").as_bytes());
        let set: Vec<&str> = self.variables.iter().map(String::as_str).filter(may_use).collect();
        let names: Vec<&str> = OWN_VARIABLES.into_iter().filter(|name| has_form && in_form(name)).chain(set).collect();
        let first = names.first()?;
        let tokens: Vec<Token> = Tokens::new(statements).collect();
        let mut uses = tokens.windows(3).filter(|three| three[1] == Token::Sign(':') && three[0] != Token::Sign(':'));
        uses.find_map(|three| match &three[2] {
            // `:'name'`, `:"name"` and `:{?name}`
            Token::Literal | Token::Quoted(_) | Token::Sign('{') => Some((*first).to_owned()),
            other => {
                let used = other.name()?;
                names.iter().find(|name| name.eq_ignore_ascii_case(&used)).map(|name| (*name).to_owned())
            }
        })
    }
}

/// Variables that psql sets itself and that scripts use (psql, "Variables").
const OWN_VARIABLES: [&str; 6] = ["DBNAME", "USER", "HOST", "PORT", "ENCODING", "VERSION"];

/// Whether a second command, or SQL after `\\\\`, follows in the line.
fn has_another(command: &[u8]) -> bool {
    let mut in_quotes = false;
    let mut bytes = command.iter().skip(1);
    while let Some(byte) = bytes.next() {
        match byte {
            b'\'' => in_quotes = !in_quotes,
            b'\\' if !in_quotes => return true,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    false
}

/// The name of a command, with its backslash and without its arguments, which may contain a password.
pub(super) fn command_name(command: &[u8]) -> String {
    let name = command.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    crate::util::format::printable(&String::from_utf8_lossy(name), 30)
}

/// The first argument of a command, without quotes.
fn argument(command: &[u8]) -> Option<String> {
    let mut words = command.split(u8::is_ascii_whitespace).skip(1).filter(|word| !word.is_empty());
    let word = String::from_utf8_lossy(words.next()?).into_owned();
    Some(word.trim_matches(['\'', '"', ';']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::PsqlCommands;

    #[test]
    fn output_settings_are_skipped_and_everything_else_is_refused() {
        let mut commands = PsqlCommands::default();
        for command in ["\\set ON_ERROR_STOP on", "\\timing off", "\\encoding UTF8", "\\echo 'a\\nb'", "\\restrict x"] {
            assert_eq!(commands.refusal(command.as_bytes(), false), None, "{command}");
        }
        for command in [
            "\\! id",
            "\\connect other",
            "\\i file",
            "\\copy t from 'x'",
            "\\encoding LATIN1",
            "\\gexec",
            "\\if",
            "\\set x `id`",
            "\\echo x \\\\ DELETE FROM t;",
            "\\timing \\i file",
            "\\set x 'a' \\! id",
        ] {
            assert!(commands.refusal(command.as_bytes(), false).is_some(), "{command}");
        }
    }

    #[test]
    fn only_the_dumps_own_database_can_be_connected_to() {
        let mut commands = PsqlCommands::default();
        assert_eq!(commands.refusal(b"\\connect s1", true), None);
        assert_eq!(commands.refusal(b"\\connect s1", true), None, "pg_dump connects again after changing settings");
        assert!(commands.refusal(b"\\connect s2", true).is_some());
    }

    #[test]
    fn uses_of_variables_are_found() {
        let mut commands = PsqlCommands::default();
        assert_eq!(commands.used_variable(b"SELECT :x;"), None);
        assert_eq!(commands.refusal(b"\\set x 1\n", false), None);
        assert_eq!(commands.used_variable(b"SELECT :x;").as_deref(), Some("x"));
        assert_eq!(commands.used_variable(b"SELECT :'x';").as_deref(), Some("x"));
        assert_eq!(commands.used_variable(b"SELECT :{?x};").as_deref(), Some("x"));
        assert_eq!(commands.used_variable(b"SELECT :'USER';").as_deref(), Some("USER"));
        for text in ["SELECT a::x;", "SELECT a[1:2];", "SELECT ':x';"] {
            assert_eq!(commands.used_variable(text.as_bytes()), None, "{text}");
        }
    }
}
