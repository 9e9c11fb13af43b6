//! Why an import failed, and what that means for its job.

use super::explain::{ErrorLocation, explain_error, explain_source_error, is_transient};
use super::source_catalog::NextRead;
use crate::server::import::process::ExitedProcess;
use crate::server::metadata::JobOutcome;
use crate::util::format::{printable, tail};
use crate::wire::{CANCELLED, ErrorClass, FailureCode, ImportError, ImportProgress, JobFailure, PARTLY_COMMITTED};

/// Another worker now holds the job's lease.
pub(crate) const LEASE_LOST: &str = "another worker has taken over this job";

/// What a failure means for the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disposition {
    /// The same import can only fail again.
    Permanent,
    /// The same import may succeed later.
    Transient,
    /// Whether the import completed is not known, so the job cannot end yet.
    Unresolved,
}

/// Why an import failed, with a message for the user.
#[derive(Debug)]
pub(in crate::server) struct ImportFailure {
    message: String,
    disposition: Disposition,
    code: Option<FailureCode>,
    exit_code: Option<i32>,
    stderr: Option<String>,
    /// psql ran the whole script, so only the response to the commit can be missing.
    script_finished: bool,
    error: Option<Box<ImportError>>,
}

impl ImportFailure {
    fn new(disposition: Disposition, message: impl Into<String>) -> Self {
        Self {
            message: printable(&message.into(), MAX_MESSAGE),
            disposition,
            code: None,
            exit_code: None,
            stderr: None,
            script_finished: false,
            error: None,
        }
    }

    /// The same import can only fail again.
    pub(crate) fn permanent(message: impl Into<String>) -> Self {
        Self::new(Disposition::Permanent, message)
    }

    /// The source or dump did not pass the preflight.
    pub(crate) fn preflight_failed(why: &str, fix: Option<String>) -> Self {
        let message = format!("the preflight failed: {why}");
        let error = ImportError {
            class: ErrorClass::Fatal,
            sqlstate: None,
            entry: None,
            line: None,
            message: printable(&message, MAX_MESSAGE),
            cause: None,
            fix,
        };
        Self { error: Some(Box::new(error)), ..Self::permanent(message) }
    }

    /// The same import may succeed later.
    pub(crate) fn transient(message: impl Into<String>) -> Self {
        Self::new(Disposition::Transient, message)
    }

    /// Whether the import completed is not known, so the job cannot end yet.
    pub(in crate::server) fn unresolved(message: impl Into<String>) -> Self {
        Self::new(Disposition::Unresolved, message)
    }

    /// The job was cancelled.
    pub(crate) fn cancelled() -> Self {
        Self { code: Some(FailureCode::Cancelled), ..Self::permanent(CANCELLED) }
    }

    /// Another worker holds the job, and only that worker may end it.
    pub(in crate::server) fn lease_lost() -> Self {
        Self::unresolved(LEASE_LOST)
    }

    /// Whether the same import may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        self.disposition == Disposition::Transient
    }

    /// Whether the job cannot end yet.
    pub(in crate::server) fn is_unresolved(&self) -> bool {
        self.disposition == Disposition::Unresolved
    }

    /// A program failed; its standard error says why.
    pub(crate) fn program(doing: &str, exited: &ExitedProcess, location: &ErrorLocation) -> Self {
        let mut error = explain_error(&exited.stderr, location);
        // Only the system or an administrator kills these programs.
        let killed = exited.code.is_none();
        if killed {
            error.message = KILLED.into();
        }
        let at = match (location.line, &location.entry) {
            (Some(line), _) => format!(" (line {line} of the dump)"),
            (None, Some(entry)) => format!(" (in: {})", printable(entry, 100)),
            (None, None) => String::new(),
        };
        let transient = killed || is_transient(&error);
        Self {
            exit_code: exited.code,
            stderr: Some(tail(&exited.stderr, MAX_STDERR)),
            error: Some(Box::new(error.clone())),
            ..Self::new(
                if transient { Disposition::Transient } else { Disposition::Permanent },
                format!("{doing} failed: {}{at}", error.message),
            )
        }
    }

    /// `pg_dump` could not read the source. Returns whether to read again.
    pub(crate) fn reading_source(exited: &ExitedProcess) -> (Self, NextRead) {
        let (mut error, mut next) = explain_source_error(&exited.stderr);
        if exited.code.is_none() {
            (error.message, next) = (KILLED.into(), NextRead::Stop);
        }
        let disposition = if next == NextRead::Stop { Disposition::Permanent } else { Disposition::Transient };
        let failure = Self {
            exit_code: exited.code,
            stderr: Some(tail(&exited.stderr, MAX_STDERR)),
            error: Some(Box::new(error.clone())),
            ..Self::new(disposition, format!("reading the source failed: {}", error.message))
        };
        (failure, next)
    }

    /// The same failure with a further fact in its message.
    pub(crate) fn with_fact(self, fact: &str) -> Self {
        Self { message: printable(&format!("{}; {fact}", self.message), MAX_MESSAGE), ..self }
    }

    /// SQLSTATE of the error.
    pub(crate) fn sqlstate(&self) -> Option<&str> {
        self.error.as_ref().and_then(|error| error.sqlstate.as_deref())
    }

    /// Whether a name was not found (SQLSTATE of an undefined function, table or object), which may be
    /// because dumps load with an empty search path.
    pub(in crate::server) fn is_name_missing(&self) -> bool {
        self.has_code(&["42883", "42P01", "42704"])
    }

    /// Whether a name was taken (SQLSTATE of a duplicate table, object, function or schema).
    pub(in crate::server) fn is_name_taken(&self) -> bool {
        self.has_code(&["42P07", "42710", "42723", "42P06"])
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.sqlstate().is_some_and(|code| codes.contains(&code))
    }

    /// The transaction was committed despite the error: the dump ended it in a way that the filter did
    /// not recognize.
    pub(crate) fn partly_committed(self) -> Self {
        let message = format!("{}; the statements before the error were {PARTLY_COMMITTED}", self.message);
        Self { message, code: Some(FailureCode::PartlyCommitted), ..self }
    }

    /// The same failure, after psql had run the whole script.
    pub(crate) fn after_script_end(self) -> Self {
        Self { script_finished: true, ..self }
    }

    /// Whether only the response to the commit can be missing.
    pub(crate) fn script_finished(&self) -> bool {
        self.script_finished
    }

    /// The outcome of the job, with the progress it had reached.
    pub(in crate::server) fn into_outcome(self, progress: &ImportProgress) -> JobOutcome {
        let failure = JobFailure {
            code: self.code,
            errors: self.error.into_iter().map(|error| *error).collect(),
            progress: progress.clone(),
        };
        JobOutcome {
            result: serde_json::to_value(failure).ok(),
            error: Some(self.message),
            exit_code: self.exit_code,
            stderr: self.stderr,
            transient: self.disposition == Disposition::Transient,
        }
    }
}

impl std::fmt::Display for ImportFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// A failure of the control plane itself.
impl From<anyhow::Error> for ImportFailure {
    fn from(error: anyhow::Error) -> Self {
        Self::transient(format!("{error:#}"))
    }
}

/// Maximum length of a job's message, in characters: parts of it come from the source.
const MAX_MESSAGE: usize = 1000;

/// The message for a program that was killed by a signal.
const KILLED: &str = "the program was killed by a signal, possibly because it ran out of memory";

/// How much of a program's standard error is kept, in bytes.
const MAX_STDERR: usize = 4096;
