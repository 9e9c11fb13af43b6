//! The API client: one method per endpoint.

use super::error::CallError;
use super::retry::with_retry;
use crate::wire::{
    CompleteRequest, Connections, ConnectionsAnswer, CreateProject, CreateRole, ImportRequest, Job, JobAnswer, JobList,
    JobState, LoginRequest, LoginSession, LoginState, Me, PROJECT_IMPORT, PartSlot, PartsAnswer, PartsRequest,
    Preflight, PreflightAnswer, PreflightRequest, Project, ProjectCreated, ProjectList, SqlAnswer, SqlRequest,
    SqlResult, Status, Upload, UploadAnswer, UploadPart, UploadRequest, UploadSlot, UploadSlotAnswer,
};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use std::time::{Duration, Instant};

/// Maximum length of a response body in bytes, to bound memory.
const MAX_RESPONSE_BYTES: usize = 16 << 20;

/// Timeout of an ordinary call.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Timeout of a preflight, which connects to the source.
const PREFLIGHT_TIMEOUT: Duration = Duration::from_secs(90);

/// Timeout of completing an upload: storage assembles the parts before it responds.
const COMPLETE_TIMEOUT: Duration = Duration::from_mins(5);

/// A client of one control plane.
pub struct Api {
    http: reqwest::Client,
    base: Url,
    /// The API key; some calls need none.
    key: Option<SecretString>,
}

/// Optional parts of a call.
struct Call<'a, B = ()> {
    query: &'a [(&'a str, &'a str)],
    body: Option<&'a B>,
    poll_token: Option<&'a str>,
}

impl<B> Default for Call<'_, B> {
    fn default() -> Self {
        Self { query: &[], body: None, poll_token: None }
    }
}

/// The outcome of starting an import.
#[derive(Debug)]
pub struct StartedImport {
    /// The job.
    pub job: Job,
    /// Whether the response was lost and the job was found in the project's job list.
    pub recovered: bool,
}

impl Api {
    /// Creates a client of the control plane at a base URL.
    pub fn new(base: Url, key: Option<SecretString>) -> anyhow::Result<Self> {
        Ok(Self { http: super::http_client(&base)?, base, key })
    }

    /// The base URL, which identifies the control plane in upload journals.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Host and port of the control plane, for messages.
    pub fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The service status; needs no key.
    pub async fn status(&self) -> Result<Status, CallError> {
        self.call(Method::GET, &["status"], Call::<()>::default(), CALL_TIMEOUT).await
    }

    /// The current key and its organization.
    pub async fn me(&self) -> Result<Me, CallError> {
        self.get(&["v1", "me"], &[]).await
    }

    /// Starts a login that the user approves in the browser; needs no key.
    pub async fn begin_login(&self, request: &LoginRequest) -> Result<LoginSession, CallError> {
        let ask = Call { body: Some(request), ..Call::default() };
        self.call(Method::POST, &["v1", "cli", "login", "sessions"], ask, CALL_TIMEOUT).await
    }

    /// The state of a login. The key is returned only once, so a lost response loses the key.
    pub async fn login_state(&self, session: &LoginSession) -> Result<LoginState, CallError> {
        let ask = Call::<()> { poll_token: Some(&session.poll_token), ..Call::default() };
        self.call(Method::GET, &["v1", "cli", "login", "sessions", &session.session_id], ask, CALL_TIMEOUT).await
    }

    /// All projects that the key can access.
    pub async fn projects(&self) -> Result<Vec<Project>, CallError> {
        Ok(self.get::<ProjectList>(&["v1", "projects"], &[]).await?.projects)
    }

    /// One project.
    pub async fn project(&self, id: &str) -> Result<Project, CallError> {
        Ok(self.get::<crate::wire::ProjectAnswer>(&["v1", "projects", id], &[]).await?.project)
    }

    /// Creates a project, which is ready when the job completes. Without retries: a lost response would
    /// create it twice.
    pub async fn create_project(&self, wanted: &CreateProject) -> Result<ProjectCreated, CallError> {
        self.once(Method::POST, &["v1", "projects"], Some(wanted)).await
    }

    /// Runs a statement that reads, as the project's role.
    pub async fn query(&self, id: &str, query: &str, max_rows: u32) -> Result<SqlResult, CallError> {
        let request = SqlRequest { query: query.to_owned(), max_rows: Some(max_rows), read_only: Some(true) };
        Ok(self.once::<SqlAnswer>(Method::POST, &["v1", "projects", id, "sql"], Some(&request)).await?.result)
    }

    /// A project's connection strings, which are secrets.
    pub async fn connections(&self, id: &str) -> Result<Connections, CallError> {
        Ok(self.get::<ConnectionsAnswer>(&["v1", "projects", id, "connections"], &[]).await?.connections)
    }

    /// Connection strings of a role that owns nothing, which is created if needed. An extension to the API
    /// contract.
    pub async fn application_role(&self, id: &str, name: &str) -> Result<Connections, CallError> {
        let wanted = CreateRole { name: name.to_owned() };
        let call = Call { body: Some(&wanted), ..Call::default() };
        let path = ["v1", "projects", id, "roles"];
        Ok(self.call::<ConnectionsAnswer>(Method::POST, &path, call, CALL_TIMEOUT).await?.connections)
    }

    /// One job.
    pub async fn job(&self, id: &str) -> Result<Job, CallError> {
        Ok(self.get::<JobAnswer>(&["v1", "jobs", id], &[]).await?.job)
    }

    /// Cancels an import. An extension to the API contract.
    pub async fn cancel_job(&self, id: &str) -> Result<Job, CallError> {
        let path = ["v1", "jobs", id, "cancel"];
        Ok(self.call::<JobAnswer>(Method::POST, &path, Call::<()>::default(), CALL_TIMEOUT).await?.job)
    }

    /// One job, without retries: the watcher has its own.
    pub(super) async fn job_once(&self, id: &str) -> Result<Job, CallError> {
        Ok(self.call::<JobAnswer>(Method::GET, &["v1", "jobs", id], Call::<()>::default(), CALL_TIMEOUT).await?.job)
    }

    /// A project's jobs, newest first.
    pub async fn jobs(&self, project: &str, limit: u32) -> Result<Vec<Job>, CallError> {
        let limit = limit.to_string();
        Ok(self.get::<JobList>(&["v1", "projects", project, "jobs"], &[("limit", &limit)]).await?.jobs)
    }

    /// Runs a preflight on the control plane. Retried, because it changes nothing.
    pub async fn preflight(&self, project: &str, request: &PreflightRequest) -> Result<Preflight, CallError> {
        let path = ["v1", "projects", project, "imports", "preflight"];
        let call = || {
            self.call::<PreflightAnswer>(
                Method::POST,
                &path,
                Call { body: Some(request), ..Call::default() },
                PREFLIGHT_TIMEOUT,
            )
        };
        Ok(with_retry(call).await?.preflight)
    }

    /// Creates an upload slot for a dump of this length in bytes, in parts if supported. Retried,
    /// because an unused slot expires.
    pub(super) async fn upload_slot(&self, project: &str, size_bytes: u64) -> Result<UploadSlot, CallError> {
        let path = ["v1", "projects", project, "imports", "uploads"];
        let body = UploadRequest { size_bytes, parts: true };
        let call = |body| async move {
            let ask = Call { body, ..Call::default() };
            self.call::<UploadSlotAnswer>(Method::POST, &path, ask, CALL_TIMEOUT).await
        };
        let answer = with_retry(|| call(Some(&body))).await;
        // The contract defines no body; retry without one if the service rejects the body.
        let minds = |error: &CallError| matches!(error.status(), Some(400 | 415 | 422));
        match answer {
            Err(error) if minds(&error) => Ok(with_retry(|| call(None)).await?.upload),
            answer => Ok(answer?.upload),
        }
    }

    /// The state of a multipart upload.
    pub(super) async fn upload(&self, project: &str, id: &str) -> Result<Upload, CallError> {
        Ok(self.get::<UploadAnswer>(&["v1", "projects", project, "imports", "uploads", id], &[]).await?.upload)
    }

    /// Presigned URLs for parts.
    pub(super) async fn part_slots(
        &self,
        project: &str,
        id: &str,
        part_numbers: Vec<u32>,
    ) -> Result<Vec<PartSlot>, CallError> {
        let path = ["v1", "projects", project, "imports", "uploads", id, "parts"];
        let body = PartsRequest { part_numbers };
        let call = || {
            let ask = Call { body: Some(&body), ..Call::default() };
            self.call::<PartsAnswer>(Method::POST, &path, ask, CALL_TIMEOUT)
        };
        Ok(with_retry(call).await?.parts)
    }

    /// Completes a multipart upload. Idempotent.
    pub(super) async fn complete_upload(
        &self,
        project: &str,
        id: &str,
        parts: Vec<UploadPart>,
    ) -> Result<Upload, CallError> {
        let path = ["v1", "projects", project, "imports", "uploads", id, "complete"];
        let body = CompleteRequest { parts };
        let call = || {
            let ask = Call { body: Some(&body), ..Call::default() };
            self.call::<UploadAnswer>(Method::POST, &path, ask, COMPLETE_TIMEOUT)
        };
        Ok(with_retry(call).await?.upload)
    }

    /// Aborts a multipart upload. Errors are ignored: the upload expires.
    pub(super) async fn abort_upload(&self, project: &str, id: &str) {
        let path = ["v1", "projects", project, "imports", "uploads", id];
        let call = self.call::<serde_json::Value>(Method::DELETE, &path, Call::<()>::default(), CALL_TIMEOUT);
        if let Err(error) = call.await {
            tracing::debug!("cannot abort the upload {id}: {error}");
        }
    }

    /// Starts an import, without retries. If the response is lost, looks for the job among the
    /// project's jobs; `known` are the jobs that existed before.
    pub async fn start_import(
        &self,
        project: &str,
        request: &ImportRequest,
        known: &[Job],
    ) -> Result<StartedImport, CallError> {
        let path = ["v1", "projects", project, "imports"];
        let error = match self
            .call::<JobAnswer>(Method::POST, &path, Call { body: Some(request), ..Call::default() }, CALL_TIMEOUT)
            .await
        {
            Ok(answer) => return Ok(StartedImport { job: answer.job, recovered: false }),
            Err(error) => error,
        };
        let refused = error.status().is_some_and(|status| status < 500);
        if refused {
            return Err(error);
        }
        let is_new = |job: &Job| job.kind == PROJECT_IMPORT && !known.iter().any(|before| before.id == job.id);
        match self.jobs(project, 25).await.map(|jobs| jobs.into_iter().find(is_new)) {
            Ok(Some(job)) => Ok(StartedImport { job, recovered: true }),
            _ => Err(error),
        }
    }

    /// The project's pending or running import, if any.
    pub fn unfinished_import(jobs: &[Job]) -> Option<&Job> {
        let waits = |job: &&Job| matches!(job.state, JobState::Pending | JobState::Running);
        jobs.iter().filter(waits).find(|job| job.kind == PROJECT_IMPORT)
    }

    /// A call without retries.
    pub(super) async fn once<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> Result<T, CallError> {
        self.call(method, path, Call { body, ..Call::default() }, CALL_TIMEOUT).await
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, CallError> {
        with_retry(|| self.call(Method::GET, path, Call::<()> { query, ..Call::default() }, CALL_TIMEOUT)).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        ask: Call<'_, impl Serialize>,
        timeout: Duration,
    ) -> Result<T, CallError> {
        let Call { query, body, poll_token } = ask;
        let host = self.host();
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let shown = url.path().to_owned();
        let mut request =
            self.http.request(method.clone(), url).timeout(timeout).header(reqwest::header::ACCEPT, "application/json");
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        if let Some(token) = &poll_token {
            request = request.header("X-CapyDB-Poll-Token", *token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let started = Instant::now();
        let result = request.send().await;
        let mut response = result.map_err(|error| CallError::transport(&host, &error))?;
        let status = response.status();
        tracing::debug!("{method} {shown} returned {} after {:?}", status.as_u16(), started.elapsed());
        let retry_after = crate::wire::retry_after(response.headers());
        let mut answer = Vec::new();
        while let Some(block) = response.chunk().await.map_err(|error| CallError::transport(&host, &error))? {
            if answer.len() + block.len() > MAX_RESPONSE_BYTES {
                return Err(CallError::invalid_response(&host, "longer than 16 MiB"));
            }
            answer.extend_from_slice(&block);
        }
        if !status.is_success() {
            return Err(CallError::rejected(&host, status.as_u16(), retry_after, &answer));
        }
        if answer.is_empty() {
            answer.extend_from_slice(b"null"); // a deletion may have no body
        }
        serde_json::from_slice(&answer).map_err(|error| {
            let html = answer.trim_ascii_start().starts_with(b"<");
            CallError::invalid_response(&host, &if html { "a web page".into() } else { describe_json_error(&error) })
        })
    }
}

/// Describes a JSON error without quoting the input.
fn describe_json_error(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => "fields are missing or have the wrong type".into(),
        _ => "not JSON".into(),
    }
}
