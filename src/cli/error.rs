use crate::client::{CallError, CallErrorKind, StatusError, UploadError};
use crate::dump::DumpError;
use crate::source::SourceUrlError;
use crate::util::format::bytes;
use serde_json::Value;

/// An error as a person gets it: what failed, and what to do next.
#[derive(Debug)]
pub struct CliError {
    /// The kind, which decides on the exit code.
    pub kind: ErrorKind,
    /// What failed and why.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What else is known, under its name in the JSON document.
    pub extra: Option<(&'static str, Value)>,
}

/// The kinds of errors, with the exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Anything else, a failed job among it.
    Error,
    /// The command line is not right.
    Usage,
    /// No key, or one that is refused.
    Auth,
    /// No such thing.
    NotFound,
    /// Something is in the way.
    Conflict,
    /// It took too long.
    Timeout,
    /// The person stopped it.
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

    /// The word in the JSON document.
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
    /// An error without advice.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, extra: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// With something for the JSON document.
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
            (429, Some(seconds)) => failure.hint(format!("too many calls; try again in {seconds} seconds")),
            (429, None) => failure.hint("too many calls; try again in a minute"),
            (500.., _) => failure.hint("the control plane has trouble; try again in a few minutes"),
            _ => failure,
        }
    }
}

impl From<SourceUrlError> for CliError {
    fn from(problem: SourceUrlError) -> Self {
        Self::new(ErrorKind::Usage, problem.to_string())
            .hint("it should look like postgres://user:password@host:5432/database")
    }
}

impl From<DumpError> for CliError {
    fn from(problem: DumpError) -> Self {
        let dump = "make a dump with: pg_dump -Fc -f app.dump \"postgres://user@host/database\"";
        match &problem {
            DumpError::Unreadable(..) => Self::new(ErrorKind::Error, problem.to_string()),
            DumpError::NotADump(..) => Self::new(ErrorKind::Conflict, problem.to_string()).hint(dump),
            DumpError::Packed(..) => Self::new(ErrorKind::Conflict, problem.to_string())
                .hint(format!("copy it again, unpack it first (gunzip, zstd -d --long=31), or {dump}")),
            DumpError::Archive(..) => {
                Self::new(ErrorKind::Conflict, problem.to_string()).hint(format!("copy it again, or {dump}"))
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
            UploadError::TooLargeForOne(size) => Self::new(kind, format!("{message} (it has {})", bytes(size))).hint(
                "import from the live source (--source-url), or make a smaller dump (pg_dump -Fc -Z9, without what can be left out)",
            ),
            UploadError::Tls(..) => Self::new(kind, message)
                .hint("an authority of your own is named with SSL_CERT_FILE; nothing was imported"),
            _ if transient => Self::new(kind, message).hint("nothing was imported; run the command again"),
            _ => Self::new(kind, message),
        }
    }
}
