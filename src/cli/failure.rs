use crate::client::{CallError, Cause, UploadError};
use crate::dump::DumpError;
use crate::source::SourceUrlError;
use crate::util::format::bytes;
use serde_json::Value;

/// An error as a person gets it: what failed, and what to do next.
#[derive(Debug)]
pub struct Failure {
    /// The kind, which decides on the exit code.
    pub kind: Kind,
    /// What failed and why.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What else is known, under its name in the JSON document.
    pub extra: Option<(&'static str, Value)>,
}

/// The kinds of errors, with the exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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

impl Kind {
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

impl Failure {
    /// An error without advice.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
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

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Kind::Error, format!("{error:#}"))
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let status = match error.cause {
            Cause::Status(status, _) => status,
            Cause::Transport => {
                return Self::new(Kind::Error, error.message)
                    .hint("check the address (--api-url, CAPYDB_API_URL) and the network, then run the command again");
            }
            Cause::Garbled => {
                return Self::new(Kind::Error, error.message)
                    .hint("check the address: the base URL ends in /api/capydb (--api-url, CAPYDB_API_URL)");
            }
        };
        let kind = match status {
            401 | 403 => Kind::Auth,
            404 | 410 => Kind::NotFound,
            409 | 412 | 428 => Kind::Conflict,
            408 | 504 => Kind::Timeout,
            _ => Kind::Error,
        };
        let failure = Self::new(kind, error.message);
        match (status, error_wait(error.cause)) {
            (401 | 403, _) => failure.hint("check the API key (--api-key, CAPYDB_API_KEY, or the saved login)"),
            (404, _)
                if failure.message.ends_with("404 Not Found")
                    || failure.message.contains("nothing at this address") =>
            {
                failure.hint("check the address: the base URL ends in /api/capydb (--api-url, CAPYDB_API_URL)")
            }
            (429, Some(seconds)) => failure.hint(format!("too many calls; try again in {seconds} seconds")),
            (429, None) => failure.hint("too many calls; try again in a minute"),
            (500.., _) => failure.hint("the control plane has trouble; try again in a few minutes"),
            _ => failure,
        }
    }
}

fn error_wait(cause: Cause) -> Option<u64> {
    match cause {
        Cause::Status(_, wait) => wait.map(|wait| wait.as_secs()),
        _ => None,
    }
}

impl From<SourceUrlError> for Failure {
    fn from(problem: SourceUrlError) -> Self {
        Self::new(Kind::Usage, problem.to_string())
            .hint("it should look like postgres://user:password@host:5432/database")
    }
}

impl From<DumpError> for Failure {
    fn from(problem: DumpError) -> Self {
        let dump = "make a dump with: pg_dump -Fc -f app.dump \"postgres://user@host/database\"";
        match &problem {
            DumpError::Unreadable(..) => Self::new(Kind::Error, problem.to_string()),
            DumpError::NotADump(..) => Self::new(Kind::Conflict, problem.to_string()).hint(dump),
            DumpError::Packed(..) => Self::new(Kind::Conflict, problem.to_string())
                .hint(format!("copy it again, unpack it first (gunzip, zstd -d --long=31), or {dump}")),
            DumpError::Archive(..) => {
                Self::new(Kind::Conflict, problem.to_string()).hint(format!("copy it again, or {dump}"))
            }
        }
    }
}

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Self {
        let transient = error.is_transient();
        let kind = match &error {
            UploadError::Changed | UploadError::Replaced | UploadError::TooLargeForOne(_) => Kind::Conflict,
            UploadError::Refused(refusal) if refusal.status == 413 => Kind::Conflict,
            _ => Kind::Error,
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
