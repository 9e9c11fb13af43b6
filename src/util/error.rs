//! Formats error chains.

use std::error::Error;

/// The message of an error's root cause, without the `(os error N)` suffix. Outer errors only
/// add context.
pub fn innermost(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    let text = last.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    super::format::printable(text, 300)
}

/// An error and its causes on one line, separated by colons.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// The TLS error in a chain of causes. `std::io::Error` does not expose its inner error as a source.
pub fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot send")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_innermost_cause_and_the_chain_are_formatted() {
        let error = Outer(io::Error::from_raw_os_error(32));
        assert_eq!(innermost(&error), "Broken pipe");
        assert_eq!(chain(&error), "cannot send: Broken pipe (os error 32)");
    }

    #[test]
    fn a_nested_tls_error_is_found() {
        let error = std::io::Error::other(std::io::Error::other(rustls::Error::DecryptError));
        assert!(tls_error(&error).is_some() && tls_error(&std::io::Error::other("x")).is_none());
    }
}
