//! Jobs and their results.

use super::{Check, FailureCode, ImportError, ImportProgress};
use serde::{Deserialize, Serialize};

/// Error message of a cancelled job.
pub const CANCELLED: &str = "cancelled by request";
/// Part of the error message if the dump committed some of its statements, so that the target
/// was changed.
pub const PARTLY_COMMITTED: &str = "committed by the dump itself";
/// Type of a job that creates a project.
pub const PROJECT_CREATE: &str = "project.create";
/// Type of an import job.
pub const PROJECT_IMPORT: &str = "project.import";

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waiting for a worker.
    Pending,
    /// Claimed by a worker.
    Running,
    /// Finished successfully.
    Completed,
    /// Finished with an error.
    Failed,
    /// A state that this version does not recognize; treated as not final.
    #[serde(other)]
    Unknown,
}

impl JobState {
    /// Whether the job is finished.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    /// The value in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// A unit of work for a worker. Times are in RFC 3339 format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Job {
    /// Opaque id.
    pub id: String,
    /// Type of the job: `project.import` for an import.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Current state.
    pub state: JobState,
    /// Number of attempts so far.
    #[serde(default)]
    pub attempts: i32,
    /// Maximum number of attempts.
    #[serde(default)]
    pub max_attempts: i32,
    /// The organization that owns the job.
    #[serde(default)]
    pub organization_id: String,
    /// The project that the job works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Creation time.
    #[serde(default)]
    pub created_at: String,
    /// Time of the last change.
    #[serde(default)]
    pub updated_at: String,
    /// When a worker claimed the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_at: Option<String>,
    /// The worker that claimed the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<String>,
    /// Start time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// End time, on success or failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Error message, one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Exit code of the program that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit_code: Option<i32>,
    /// Last lines that the last program wrote to standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_stdout: Option<String>,
    /// Last lines that the last program wrote to standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_stderr: Option<String>,
    /// Resource that the job locks exclusively.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_resource: Option<String>,
    /// `transient` if a retry may succeed, `permanent` if not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_classification: Option<String>,
    /// Result, in a format that depends on the job type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
}

impl Job {
    /// The progress of an import, if the service reports it.
    pub fn import_progress(&self) -> Option<ImportProgress> {
        serde_json::from_value(self.result.as_ref()?.get("progress")?.clone()).ok()
    }

    /// The errors of an import, if the service reports them.
    pub fn import_errors(&self) -> Vec<ImportError> {
        let errors = self.result.as_ref().and_then(|result| result.get("errors").cloned());
        errors.and_then(|errors| serde_json::from_value(errors).ok()).unwrap_or_default()
    }

    /// The failure code of an import, if the service sent one.
    pub fn failure_code(&self) -> Option<FailureCode> {
        serde_json::from_value(self.result.as_ref()?.get("code")?.clone()).ok()
    }

    /// The summary of a completed import, if the service reports it.
    pub fn import_summary(&self) -> Option<ImportSummary> {
        serde_json::from_value(self.result.clone()?).ok()
    }
}

/// The `result` of a completed import. The hosted service may omit fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ImportSummary {
    /// Size of the target database after the import, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_size_bytes: Option<u64>,
    /// Number of imported tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<u64>,
    /// Number of imported rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Seconds from claim to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// Extensions that were created for the import.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Objects of the source that are skipped by rule.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Warnings of the preflight that concern how the target behaves.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Check>,
}

/// Objects of one kind that an import skips.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct LeftOut {
    /// Object type in pg_dump's terms (`EVENT TRIGGER`).
    pub kind: String,
    /// Number of objects.
    pub count: u64,
    /// Why the objects are skipped.
    pub reason: String,
}

/// The response to `GET /v1/jobs/{id}` and to every call that starts a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct JobAnswer {
    /// The job.
    pub job: Job,
}

/// `GET /v1/projects/{id}/jobs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct JobList {
    /// Jobs, newest first.
    #[serde(default, deserialize_with = "super::list")]
    pub jobs: Vec<Job>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minimal_job_is_parsed() {
        let job: Job = serde_json::from_str(r#"{"id":"j","state":"paused","later":1}"#).expect("a valid response");
        assert_eq!(job.state, JobState::Unknown);
        assert!(!job.state.is_final());
    }

    #[test]
    fn a_null_list_is_empty() {
        let list: JobList = serde_json::from_str(r#"{"jobs":null}"#).expect("a valid response");
        assert!(list.jobs.is_empty());
    }
}
