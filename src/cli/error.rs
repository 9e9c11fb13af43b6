//! The error of a command: message, hint and exit code.

use crate::client::{CallError, CallErrorKind, StatusError, UploadError};
use crate::dump::DumpError;
use crate::preflight::failure;
use crate::source::SourceUrlError;
use crate::util::format::bytes;
use crate::wire::Preflight;
use serde_json::Value;

/// An error of a command, as it is shown.
#[derive(Debug)]
pub struct CliError {
    /// The kind, which determines the exit code.
    pub kind: ErrorKind,
    /// What failed and why.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
    /// An extra field of the JSON document: name and value.
    pub extra: Option<(&'static str, Value)>,
}

/// The kinds of errors, with the exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Any other error, including a failed job.
    Error,
    /// Usage error.
    Usage,
    /// The API key is missing or rejected.
    Auth,
    /// The object does not exist.
    NotFound,
    /// A conflict or a failed precondition.
    Conflict,
    /// A time limit expired.
    Timeout,
    /// Interrupted by the user or a signal.
    Interrupted,
}

impl ErrorKind {
    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Error => 1,
            Self::Usage => 2,
            Self::Auth => 3,
            Self::NotFound => 4,
            Self::Conflict => 5,
            Self::Timeout => 6,
            Self::Interrupted => 130,
        }
    }

    /// The value of `code` in the JSON document.
    pub fn code(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Usage => "usage",
            Self::Auth => "auth",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
        }
    }
}

impl CliError {
    /// An error without a hint.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, extra: None }
    }

    /// The error of a preflight with failed checks.
    pub fn preflight_failed(found: &Preflight) -> Self {
        let why = failure(found).unwrap_or_else(|| "the control plane reported no failed check".to_owned());
        Self::new(ErrorKind::Conflict, format!("the import would fail: {why}"))
            .hint("fix the failed checks, then run the command again")
            .with("preflight", found)
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Sets the extra field of the JSON document.
    #[must_use]
    pub fn with(self, name: &'static str, value: &impl serde::Serialize) -> Self {
        Self { extra: serde_json::to_value(value).ok().map(|value| (name, value)), ..self }
    }
}

impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        Self::new(ErrorKind::Error, format!("{error:#}"))
    }
}

impl From<CallError> for CliError {
    fn from(error: CallError) -> Self {
        let is_route_missing = error.is_route_missing();
        let StatusError { status, retry_after, .. } = match error.kind {
            CallErrorKind::Status(error) => error,
            CallErrorKind::Transport => {
                return Self::new(ErrorKind::Error, error.message)
                    .hint("check the address (--api-url, CAPYDB_API_URL) and the network, then run the command again");
            }
            CallErrorKind::InvalidResponse => {
                return Self::new(ErrorKind::Error, error.message)
                    .hint("check the address: the base URL ends in /api/capydb (--api-url, CAPYDB_API_URL)");
            }
        };
        let kind = match status {
            401 | 403 => ErrorKind::Auth,
            404 | 410 => ErrorKind::NotFound,
            409 | 412 | 428 => ErrorKind::Conflict,
            408 | 504 => ErrorKind::Timeout,
            _ => ErrorKind::Error,
        };
        let failure = Self::new(kind, error.message);
        match (status, retry_after.map(|wait| wait.as_secs())) {
            (401 | 403, _) => failure.hint("check the API key (--api-key, CAPYDB_API_KEY, or the saved login)"),
            (404, _) if is_route_missing => {
                failure.hint("check the address: the base URL ends in /api/capydb (--api-url, CAPYDB_API_URL)")
            }
            (429, Some(seconds)) => failure.hint(format!("wait {seconds} seconds, then run the command again")),
            (429, None) => failure.hint("wait a minute, then run the command again"),
            (500.., _) => failure.hint("the control plane has an internal error; try again in a few minutes"),
            _ => failure,
        }
    }
}

impl From<SourceUrlError> for CliError {
    fn from(problem: SourceUrlError) -> Self {
        let error = Self::new(ErrorKind::Usage, problem.to_string());
        match problem {
            SourceUrlError::Parameter(..) => error.hint("remove the parameter from the URL"),
            SourceUrlError::SslMode(_) | SourceUrlError::SeveralHosts => error.hint("change the URL"),
            _ => error.hint("expected a URL such as postgres://user:password@host:5432/database"),
        }
    }
}

impl From<DumpError> for CliError {
    fn from(problem: DumpError) -> Self {
        let dump = "create a dump with: pg_dump -Fc -f app.dump \"postgres://user@host/database\"";
        match &problem {
            DumpError::Unreadable(..) => Self::new(ErrorKind::Error, problem.to_string()),
            DumpError::NotADump(..) => Self::new(ErrorKind::Conflict, problem.to_string()).hint(dump),
            DumpError::Compressed(..) => Self::new(ErrorKind::Conflict, problem.to_string())
                .hint(format!("copy the file again, decompress it first (gunzip, zstd -d --long=31), or {dump}")),
            DumpError::Archive(..) => {
                Self::new(ErrorKind::Conflict, problem.to_string()).hint(format!("copy the file again, or {dump}"))
            }
        }
    }
}

impl From<UploadError> for CliError {
    fn from(error: UploadError) -> Self {
        let transient = error.is_transient();
        let kind = match &error {
            UploadError::Changed | UploadError::Replaced | UploadError::TooLargeForOne(_) => ErrorKind::Conflict,
            UploadError::Rejected(rejection) if rejection.status == 413 => ErrorKind::Conflict,
            _ => ErrorKind::Error,
        };
        let message = error.to_string();
        match error {
            UploadError::Call(error) => Self::from(error),
            UploadError::TooLargeForOne(size) => Self::new(kind, format!("{message} (the dump has {})", bytes(size)))
                .hint("import from the live source (--source-url), or create a smaller dump (pg_dump -Fc -Z9)"),
            UploadError::Tls(..) => Self::new(kind, message)
                .hint("nothing was imported; for a private certificate authority, set SSL_CERT_FILE"),
            _ if transient => Self::new(kind, message).hint("nothing was imported; run the command again"),
            _ => Self::new(kind, message),
        }
    }
}
