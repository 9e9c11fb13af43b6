//! The API's JSON types, shared by client and server.
//!
//! Optional and non-essential fields have defaults, for compatibility with older and newer
//! peers. A list may be `null`.

mod account;
mod database;
mod import;
mod import_progress;
mod integration;
mod job;
mod preflight;
mod project;
mod s3;
mod upload;
mod webhook;

pub use account::{ApiError, ErrorCode, LoginRequest, LoginSession, LoginState, Me, Organization, Principal, Status};
pub use database::{ProjectExtension, ProjectExtensionList, SqlAnswer, SqlRequest, SqlResult};
pub use import::{ImportRequest, PreflightRequest};
pub use import_progress::{ErrorClass, FailureCode, ImportError, ImportProgress, JobFailure, TableProgress};
pub use integration::{
    ConnectIntegration, DATABASE_URL, DATABASE_URL_UNPOOLED, Integration, IntegrationList, IntegrationProvider,
};
pub use job::{
    CANCELLED, ImportSummary, Job, JobAnswer, JobList, JobState, LeftOut, PARTLY_COMMITTED, PROJECT_CREATE,
    PROJECT_IMPORT,
};
pub use preflight::{
    AuthForeignKey, Check, CheckStatus, DumpFacts, Extension, Preflight, PreflightAnswer, Replication, SourceFacts,
};
pub use project::{
    Connections, ConnectionsAnswer, CreateProject, CreateRole, Project, ProjectAnswer, ProjectCreated, ProjectList,
};
pub use s3::{S3Error, S3Parts, S3Upload};
pub use upload::{
    CompleteRequest, PartSlot, PartsAnswer, PartsRequest, Upload, UploadAnswer, UploadPart, UploadRequest, UploadSlot,
    UploadSlotAnswer, crc64_of_text, crc64_text,
};
pub use webhook::{
    CreateWebhookEndpoint, DELIVERY_HEADER, EVENT_HEADER, EVENT_TYPES, IMPORT_COMPLETED, JOB_COMPLETED, JOB_FAILED,
    SIGNATURE_HEADER, UpdateWebhookEndpoint, WEBHOOK_TEST, WebhookDelivery, WebhookDeliveryAnswer, WebhookDeliveryList,
    WebhookEndpoint, WebhookEndpointAnswer, WebhookEndpointList, WebhookEvent, WebhookEventData,
};

use serde::{Deserialize, Deserializer};

/// The `Retry-After` header in seconds; the date form is rare and not supported.
pub fn retry_after(headers: &reqwest::header::HeaderMap) -> Option<std::time::Duration> {
    let seconds: u64 = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(std::time::Duration::from_secs(seconds))
}

/// Deserializes a list that may be `null`.
pub(crate) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}
