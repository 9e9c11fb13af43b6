use super::error::CallError;
use super::retry::with_retry;
use crate::wire::{
    CompleteRequest, Connections, ConnectionsAnswer, ImportRequest, Job, JobAnswer, JobList, JobState, LoginRequest,
    LoginSession, LoginState, Me, PROJECT_IMPORT, PartSlot, PartsAnswer, PartsRequest, Preflight, PreflightAnswer,
    PreflightRequest, Project, ProjectList, Status, Upload, UploadAnswer, UploadPart, UploadRequest, UploadSlot,
    UploadSlotAnswer,
};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use std::time::{Duration, Instant};

/// No answer of the API is larger; one that is must not fill the memory. In bytes.
const LONGEST_ANSWER: usize = 16 << 20;

/// How long an ordinary call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A preflight dials the source and reads it, which takes longer.
const PREFLIGHT_TIMEOUT: Duration = Duration::from_secs(90);

/// Storage puts the parts together before it answers.
const COMPLETE_TIMEOUT: Duration = Duration::from_mins(5);

/// A control plane, and the key to it.
pub struct Api {
    http: reqwest::Client,
    base: Url,
    /// Some calls need none.
    key: Option<SecretString>,
}

/// What a call brings along.
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

/// What became of the one call that starts an import.
#[derive(Debug)]
pub struct StartedImport {
    /// The job.
    pub job: Job,
    /// The answer was lost; the job was found in the project's list.
    pub recovered: bool,
}

impl Api {
    /// A client of the control plane at a base URL.
    pub fn new(base: Url, key: Option<SecretString>) -> anyhow::Result<Self> {
        Ok(Self { http: super::http_client(&base)?, base, key })
    }

    /// Its address, by which uploads that were begun are known.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Host and port of the control plane, for messages.
    pub fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// How the service is; needs no key.
    pub async fn status(&self) -> Result<Status, CallError> {
        self.call(Method::GET, &["status"], Call::<()>::default(), CALL_TIMEOUT).await
    }

    /// Whose key this is.
    pub async fn me(&self) -> Result<Me, CallError> {
        self.get(&["v1", "me"], &[]).await
    }

    /// Begins a login that a person approves in the browser; needs no key.
    pub async fn begin_login(&self, request: &LoginRequest) -> Result<LoginSession, CallError> {
        let ask = Call { body: Some(request), ..Call::default() };
        self.call(Method::POST, &["v1", "cli", "login", "sessions"], ask, CALL_TIMEOUT).await
    }

    /// Where a login stands. The key comes once, so a lost answer loses it.
    pub async fn login_state(&self, session: &LoginSession) -> Result<LoginState, CallError> {
        let ask = Call::<()> { poll_token: Some(&session.poll_token), ..Call::default() };
        self.call(Method::GET, &["v1", "cli", "login", "sessions", &session.session_id], ask, CALL_TIMEOUT).await
    }

    /// All projects that the key may see.
    pub async fn projects(&self) -> Result<Vec<Project>, CallError> {
        Ok(self.get::<ProjectList>(&["v1", "projects"], &[]).await?.projects)
    }

    /// One project.
    pub async fn project(&self, id: &str) -> Result<Project, CallError> {
        Ok(self.get::<crate::wire::ProjectAnswer>(&["v1", "projects", id], &[]).await?.project)
    }

    /// How to connect to a project's database: secrets.
    pub async fn connections(&self, id: &str) -> Result<Connections, CallError> {
        Ok(self.get::<ConnectionsAnswer>(&["v1", "projects", id, "connections"], &[]).await?.connections)
    }

    /// One job.
    pub async fn job(&self, id: &str) -> Result<Job, CallError> {
        Ok(self.get::<JobAnswer>(&["v1", "jobs", id], &[]).await?.job)
    }

    /// Asks for the end of an import: an addition of our control plane to the contract.
    pub async fn cancel_job(&self, id: &str) -> Result<Job, CallError> {
        let path = ["v1", "jobs", id, "cancel"];
        Ok(self.call::<JobAnswer>(Method::POST, &path, Call::<()>::default(), CALL_TIMEOUT).await?.job)
    }

    /// One job, asked once: the watcher has its own patience.
    pub(super) async fn job_once(&self, id: &str) -> Result<Job, CallError> {
        Ok(self.call::<JobAnswer>(Method::GET, &["v1", "jobs", id], Call::<()>::default(), CALL_TIMEOUT).await?.job)
    }

    /// A project's jobs, newest first.
    pub async fn jobs(&self, project: &str, limit: u32) -> Result<Vec<Job>, CallError> {
        let limit = limit.to_string();
        Ok(self.get::<JobList>(&["v1", "projects", project, "jobs"], &[("limit", &limit)]).await?.jobs)
    }

    /// Has the control plane look at a source. It changes nothing, so it may be repeated.
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

    /// A slot for a dump of this length in bytes, in parts where they are offered. An unused
    /// slot expires, so asking twice does no harm.
    pub(super) async fn upload_slot(&self, project: &str, size_bytes: u64) -> Result<UploadSlot, CallError> {
        let path = ["v1", "projects", project, "imports", "uploads"];
        let body = UploadRequest { size_bytes, parts: true };
        let call = |body| async move {
            let ask = Call { body, ..Call::default() };
            self.call::<UploadSlotAnswer>(Method::POST, &path, ask, CALL_TIMEOUT).await
        };
        let answer = with_retry(|| call(Some(&body))).await;
        // The contract knows of no body here; a service that minds gets none.
        let minds = |error: &CallError| matches!(error.status(), Some(400 | 415 | 422));
        match answer {
            Err(error) if minds(&error) => Ok(with_retry(|| call(None)).await?.upload),
            answer => Ok(answer?.upload),
        }
    }

    /// How far an upload in parts is.
    pub(super) async fn upload(&self, project: &str, id: &str) -> Result<Upload, CallError> {
        Ok(self.get::<UploadAnswer>(&["v1", "projects", project, "imports", "uploads", id], &[]).await?.upload)
    }

    /// Where parts go.
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

    /// Makes an object of the parts. Doing it twice does no harm.
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

    /// Tells storage that an upload in parts will not go on. Should it not hear, it finds out
    /// by itself.
    pub(super) async fn abort_upload(&self, project: &str, id: &str) {
        let path = ["v1", "projects", project, "imports", "uploads", id];
        let call = self.call::<serde_json::Value>(Method::DELETE, &path, Call::<()>::default(), CALL_TIMEOUT);
        if let Err(error) = call.await {
            tracing::debug!("the upload {id} was not ended: {error}");
        }
    }

    /// Starts an import, once. When the answer is lost the project's jobs are asked instead
    /// of starting again; `known` are the jobs that were there before.
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

    /// The project's import that is not over, if there is one.
    pub fn unfinished_import(jobs: &[Job]) -> Option<&Job> {
        let waits = |job: &&Job| matches!(job.state, JobState::Pending | JobState::Running);
        jobs.iter().filter(waits).find(|job| job.kind == PROJECT_IMPORT)
    }

    /// A call that is made once, however it goes.
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
        tracing::debug!("{method} {shown} answered {} after {:?}", status.as_u16(), started.elapsed());
        let retry_after = crate::wire::retry_after(response.headers());
        let mut answer = Vec::new();
        while let Some(block) = response.chunk().await.map_err(|error| CallError::transport(&host, &error))? {
            if answer.len() + block.len() > LONGEST_ANSWER {
                return Err(CallError::invalid_response(&host, "it is longer than 16 MiB"));
            }
            answer.extend_from_slice(&block);
        }
        if !status.is_success() {
            return Err(CallError::rejected(&host, status.as_u16(), retry_after, &answer));
        }
        if answer.is_empty() {
            answer.extend_from_slice(b"null"); // a deletion need not say anything
        }
        serde_json::from_slice(&answer).map_err(|error| {
            let html = answer.trim_ascii_start().starts_with(b"<");
            CallError::invalid_response(
                &host,
                &if html { "it is a web page".into() } else { describe_json_error(&error) },
            )
        })
    }
}

/// Where the JSON went wrong, without quoting it.
fn describe_json_error(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => "fields are missing or of another type".into(),
        _ => "it is not JSON".into(),
    }
}
