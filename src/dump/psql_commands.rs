//! psql meta-commands in plain SQL: all are refused except the two that pg_dump writes.

/// Reason to refuse a psql command within a statement.
pub const INSIDE_STATEMENT: &str = "psql command in the middle of a statement";

/// The name of a command, with its backslash and without its arguments, which may contain a password.
pub(super) fn command_name(command: &[u8]) -> String {
    let name = command.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    crate::util::format::printable(&String::from_utf8_lossy(name), 30)
}

/// Why a psql command cannot be part of an import; `None` for the two that newer versions of
/// `pg_dump` write at the start and end of a plain dump.
pub fn refused_command(command: &[u8]) -> Option<String> {
    let name = command_name(command);
    if name == "\\restrict" || name == "\\unrestrict" {
        return None;
    }
    Some(format!("the psql command {name} is not allowed"))
}
