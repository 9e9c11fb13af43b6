use super::{FailureCode, ImportError, ImportProgress};
use serde::{Deserialize, Serialize};

/// Why a job failed that somebody has stopped.
pub const CANCELLED: &str = "cancelled by request";
/// Part of why an import failed whose dump has committed some of its statements by itself: the
/// target is not as it was before.
pub const PARTLY_COMMITTED: &str = "committed by the dump itself";
/// Type of the job that makes a project.
pub const PROJECT_CREATE: &str = "project.create";
/// Type of an import job.
pub const PROJECT_IMPORT: &str = "project.import";

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for a worker.
    Pending,
    /// A worker has it.
    Running,
    /// Over, and it worked.
    Completed,
    /// Over, and it did not.
    Failed,
    /// A state that this version does not know; taken as not final.
    #[serde(other)]
    Unknown,
}

impl JobState {
    /// Whether the job can still change.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    /// The word of the API.
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

/// A piece of work that a worker does. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Job {
    /// Opaque id.
    pub id: String,
    /// What kind of work, `project.import` for an import.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Where it stands.
    pub state: JobState,
    /// How often a worker has begun it.
    #[serde(default)]
    pub attempts: i32,
    /// How often a worker may begin it.
    #[serde(default)]
    pub max_attempts: i32,
    /// The organization that it belongs to.
    #[serde(default)]
    pub organization_id: String,
    /// The project that it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// When it was asked for.
    #[serde(default)]
    pub created_at: String,
    /// When it last changed.
    #[serde(default)]
    pub updated_at: String,
    /// When a worker took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_at: Option<String>,
    /// The worker that took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<String>,
    /// When work began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended, either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Why it failed, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Exit code of the program that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit_code: Option<i32>,
    /// The end of what the last program wrote to standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_stdout: Option<String>,
    /// The end of what the last program wrote to standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_stderr: Option<String>,
    /// What other jobs must keep off meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_resource: Option<String>,
    /// `transient` when the same import may work later, `permanent` when it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_classification: Option<String>,
    /// What came of it, in a form that depends on the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
}

impl Job {
    /// How far an import is, when the service tells.
    pub fn import_progress(&self) -> Option<ImportProgress> {
        serde_json::from_value(self.result.as_ref()?.get("progress")?.clone()).ok()
    }

    /// What went wrong in an import, when the service tells.
    pub fn import_errors(&self) -> Vec<ImportError> {
        let errors = self.result.as_ref().and_then(|result| result.get("errors").cloned());
        errors.and_then(|errors| serde_json::from_value(errors).ok()).unwrap_or_default()
    }

    /// Why an import failed, where the service sends a code.
    pub fn failure_code(&self) -> Option<FailureCode> {
        serde_json::from_value(self.result.as_ref()?.get("code")?.clone()).ok()
    }

    /// What an import brought, when the service tells.
    pub fn import_summary(&self) -> Option<ImportSummary> {
        serde_json::from_value(self.result.clone()?).ok()
    }
}

/// The `result` of a completed import. The hosted service may tell less.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ImportSummary {
    /// Size of the target database afterwards, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_size_bytes: Option<u64>,
    /// Tables that arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<u64>,
    /// Rows that arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// From claim to end, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// Extensions that were created for the import.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Objects of the source that the target does not get, by rule.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// Objects of one kind that an import leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct LeftOut {
    /// The kind, as pg_dump calls it (`EVENT TRIGGER`).
    pub kind: String,
    /// How many.
    pub count: u64,
    /// Why, in a phrase.
    pub reason: String,
}

/// `GET /v1/jobs/{id}` and every call that starts a job.
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
    /// Newest first.
    #[serde(default, deserialize_with = "super::list")]
    pub jobs: Vec<Job>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_with_the_least_that_a_service_may_send_is_read() {
        let job: Job = serde_json::from_str(r#"{"id":"j","state":"paused","later":1}"#).expect("reads");
        assert_eq!(job.state, JobState::Unknown);
        assert!(!job.state.is_final());
    }

    #[test]
    fn a_null_list_is_an_empty_one() {
        let list: JobList = serde_json::from_str(r#"{"jobs":null}"#).expect("reads");
        assert!(list.jobs.is_empty());
    }
}
