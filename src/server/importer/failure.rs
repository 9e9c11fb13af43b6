use super::child::Finished;
use super::triage::{Place, is_transient, triage};
use crate::server::store::Ending;
use crate::wire::{ImportError, ImportProgress, PARTLY_COMMITTED};

/// Why an import failed, in words for the person who asked for it.
#[derive(Debug)]
pub(in crate::server) struct Failure {
    message: String,
    exit_code: Option<i32>,
    stderr: Option<String>,
    transient: bool,
    unresolved: bool,
    all_was_run: bool,
    error: Option<Box<ImportError>>,
}

impl Failure {
    /// The same import can only fail again.
    pub(super) fn permanent(message: impl Into<String>) -> Self {
        Self {
            message: crate::text::printable(&message.into(), LONGEST_MESSAGE),
            exit_code: None,
            stderr: None,
            transient: false,
            unresolved: false,
            all_was_run: false,
            error: None,
        }
    }

    /// The same import may work later.
    pub(super) fn transient(message: impl Into<String>) -> Self {
        Self { transient: true, ..Self::permanent(message) }
    }

    /// Whether the import is finished cannot be told, so neither can the job be over.
    pub(in crate::server) fn unresolved(message: impl Into<String>) -> Self {
        Self { unresolved: true, ..Self::transient(message) }
    }

    /// Whether the job must go on.
    pub(in crate::server) fn is_unresolved(&self) -> bool {
        self.unresolved
    }

    /// A program failed; its own words say why.
    pub(super) fn program(doing: &str, finished: &Finished, place: &Place) -> Self {
        let stderr = &finished.stderr;
        let mut error = triage(stderr, place);
        // Nobody but the system, or a person, ends a program so.
        let killed = finished.code.is_none();
        if killed {
            error.message = KILLED.into();
        }
        let at = match (place.line, &place.entry) {
            (Some(line), _) => format!(" (line {line} of the dump)"),
            (None, Some(entry)) => format!(" (in: {})", crate::text::printable(entry, 100)),
            (None, None) => String::new(),
        };
        Self {
            message: format!("{doing} failed: {}{at}", error.message),
            exit_code: finished.code,
            stderr: Some(crate::text::tail(stderr, LONGEST_STDERR)),
            transient: killed || is_transient(&error),
            unresolved: false,
            all_was_run: false,
            error: Some(Box::new(error)),
        }
    }

    /// The transaction is there in spite of the error: the dump has ended it itself, in a
    /// disguise that nobody saw through.
    pub(super) fn although_committed(self) -> Self {
        let message = format!("{}; what stood before that was {PARTLY_COMMITTED}", self.message);
        Self { message, ..self }
    }

    /// The same failure, after which it is known that all of the input was run.
    pub(super) fn after_the_end(self) -> Self {
        Self { all_was_run: true, ..self }
    }

    /// Whether only the answer to the commit can be missing.
    pub(super) fn all_was_run(&self) -> bool {
        self.all_was_run
    }

    /// How the job ends, with how far it was.
    pub(in crate::server) fn into_ending(self, progress: &ImportProgress) -> Ending {
        let errors: Vec<Box<ImportError>> = self.error.into_iter().collect();
        Ending {
            result: Some(serde_json::json!({ "errors": errors, "progress": progress })),
            error: Some(self.message),
            exit_code: self.exit_code,
            stderr: self.stderr,
            transient: self.transient,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// Trouble of the control plane itself.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::transient(format!("{error:#}"))
    }
}

/// Longest message of a job, in characters: some of its words are a stranger's.
const LONGEST_MESSAGE: usize = 1000;

/// What is said of a program that did not end by itself.
const KILLED: &str = "the program was ended by a signal, for want of memory perhaps";

/// What is kept of a program's standard error, in bytes.
const LONGEST_STDERR: usize = 4096;
