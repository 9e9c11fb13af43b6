//! Jobs and the queue: claims, leases, outcomes and cancellation.

use super::events::record_events;
use super::{Store, new_id, rfc3339};
use crate::wire::{CANCELLED, FailureCode, Job, JobState};
use serde_json::Value;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{GenericClient, Row};

/// Seconds that a worker holds a job without a heartbeat.
pub(super) const LEASE_SECONDS: i32 = 30;

/// Maximum number of attempts at a job, counting those whose worker died.
const MAX_ATTEMPTS: i32 = 5;

/// The fields of a new job.
pub(crate) struct NewJob<'a> {
    /// Type of the job.
    pub kind: &'a str,
    /// The organization that it belongs to.
    pub organization_id: &'a str,
    /// The project that it works on.
    pub project_id: &'a str,
    /// The request, without secrets.
    pub request: Value,
    /// The secret that the job needs, encrypted.
    pub secret: Option<Vec<u8>>,
}

/// A job claimed by a worker, for one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// The job as the API returns it; `attempts` is the fencing token of every write. A released job
    /// gets its number back, because its worker has stopped everything by then.
    pub job: Job,
    /// The request.
    pub request: Value,
    /// The secret that the job needs, encrypted.
    pub secret: Option<Vec<u8>>,
    /// Whether the job was cancelled.
    pub cancelled: bool,
}

/// The result of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseState {
    /// The lease was extended.
    Held,
    /// The lease was extended, but the job was cancelled.
    Cancelled,
    /// Another worker holds the job.
    Lost,
}

/// The number of unfinished jobs of one type and state.
pub(crate) struct Queued {
    /// Type of the jobs.
    pub kind: String,
    /// `pending` or `running`.
    pub state: String,
    /// Number of jobs.
    pub jobs: i64,
    /// Age of the oldest, in seconds.
    pub oldest: f64,
}

/// How a job ended.
#[derive(Debug, Default)]
pub(crate) struct JobOutcome {
    /// The result, or the progress and the errors of a failed job.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// Exit code of the program that failed.
    pub exit_code: Option<i32>,
    /// The end of that program's standard error.
    pub stderr: Option<String>,
    /// Whether the same job may succeed later.
    pub transient: bool,
}

const COLUMNS: &str = "id, type, state, attempts, max_attempts, organization_id, project_id, created_at, updated_at,
    claimed_at, claimed_by, started_at, completed_at, error, last_exit_code, last_stdout, last_stderr,
    retry_classification, result";

impl Store {
    /// Stores a job. `None` if the project has an unfinished import.
    pub(crate) async fn create_job(&self, new: &NewJob<'_>) -> anyhow::Result<Option<Job>> {
        let client = self.client().await?;
        match insert(&**client, new).await {
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(None),
            result => Ok(Some(result?)),
        }
    }

    /// One job, of any organization.
    pub(crate) async fn job(&self, id: &str) -> anyhow::Result<Option<Job>> {
        if id.contains('\0') {
            return Ok(None); // Postgres text cannot contain NUL
        }
        let sql = format!("select {COLUMNS} from jobs where id = $1");
        Ok(self.client().await?.query_opt(&sql, &[&id]).await?.as_ref().map(from_row))
    }

    /// A project's jobs, newest first.
    pub(crate) async fn jobs(&self, project: &str, limit: i64) -> anyhow::Result<Vec<Job>> {
        let sql =
            format!("select {COLUMNS} from jobs where project_id = $1 order by created_at desc, id desc limit $2");
        let rows = self.client().await?.query(&sql, &[&project, &limit]).await?;
        Ok(rows.iter().map(from_row).collect())
    }

    /// Claims the oldest job, of one type or of any, that is pending or whose lease has expired. If its
    /// attempts are exhausted, the worker only determines the outcome of the last one.
    pub(crate) async fn claim(&self, worker: &str, kind: Option<&str>) -> anyhow::Result<Option<Claim>> {
        let client = self.client().await?;
        let sql = format!(
            "update jobs set state = 'running', attempts = attempts + 1, claimed_by = $1, claimed_at = now(),
                 started_at = coalesce(started_at, now()), updated_at = now(),
                 lease_until = now() + make_interval(secs => $2)
             where id = (select id from jobs
                         where (state = 'pending' or (state = 'running' and lease_until < now()))
                           and ($3::text is null or type = $3)
                         order by created_at limit 1 for update skip locked)
             returning {COLUMNS}, request, secret, cancel_requested_at is not null"
        );
        let row = client.query_opt(&sql, &[&worker, &f64::from(LEASE_SECONDS), &kind]).await?;
        Ok(row.map(|row| Claim {
            job: from_row(&row),
            request: row.get(19),
            secret: row.get(20),
            cancelled: row.get(21),
        }))
    }

    /// Extends the lease, and stores the progress.
    pub(crate) async fn heartbeat(&self, job: &Job, progress: &Value) -> anyhow::Result<LeaseState> {
        let sql = "update jobs set lease_until = now() + make_interval(secs => $3), result = $4, updated_at = now()
                   where id = $1 and attempts = $2 and state = 'running'
                   returning cancel_requested_at is not null";
        let values: [&(dyn ToSql + Sync); 4] = [&job.id, &job.attempts, &f64::from(LEASE_SECONDS), progress];
        let row = self.client().await?.query_opt(sql, &values).await?;
        Ok(match row.map(|row| row.get::<_, bool>(0)) {
            Some(false) => LeaseState::Held,
            Some(true) => LeaseState::Cancelled,
            None => LeaseState::Lost,
        })
    }

    /// Cancels an import. A job that has not started fails at once; any other is ended by a worker, which
    /// must determine its outcome first. False if the job is already finished.
    pub(crate) async fn cancel_job(&self, id: &str) -> anyhow::Result<bool> {
        let sql = format!(
            "update jobs set cancel_requested_at = coalesce(cancel_requested_at, now()), updated_at = now(),
                 state = case when started_at is null then 'failed' else state end,
                 error = case when started_at is null then $2 end,
                 retry_classification = case when started_at is null then 'permanent' end,
                 completed_at = case when started_at is null then now() end,
                 result = case when started_at is null then $3 else result end,
                 secret = case when started_at is null then null else secret end
             where id = $1 and state in ('pending', 'running') returning {COLUMNS}"
        );
        Ok(self
            .change_and_record(&sql, &[&id, &CANCELLED, &serde_json::json!({ "code": FailureCode::Cancelled })])
            .await?
            .is_some())
    }

    /// Updates a job. If that finishes the job, its events are recorded in the same transaction.
    async fn change_and_record(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> anyhow::Result<Option<Job>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let changed = transaction.query_opt(sql, values).await?.as_ref().map(from_row);
        if let Some(job) = changed.as_ref().filter(|job| job.state.is_final()) {
            record_events(&transaction, job).await?;
        }
        transaction.commit().await?;
        Ok(changed)
    }

    /// What the attempts have recorded: the transaction id of the last one, and the objects created
    /// outside of it.
    pub(crate) async fn recovery_notes(&self, job: &Job) -> anyhow::Result<(Option<String>, Option<Value>)> {
        let sql = "select transaction_id, made from jobs where id = $1";
        let row = self.client().await?.query_one(sql, &[&job.id]).await?;
        Ok((row.get(0), row.get(1)))
    }

    /// Extends the lease. False if it was lost: the worker must stop.
    pub(crate) async fn extend_lease(&self, job: &Job) -> anyhow::Result<bool> {
        let sql = "update jobs set lease_until = now() + make_interval(secs => $3)
                   where id = $1 and attempts = $2 and state = 'running'";
        let values: [&(dyn ToSql + Sync); 3] = [&job.id, &job.attempts, &f64::from(LEASE_SECONDS)];
        Ok(self.client().await?.execute(sql, &values).await? == 1)
    }

    /// Records the transaction id of this attempt. False if the lease was lost.
    pub(crate) async fn set_transaction(&self, job: &Job, transaction: &str) -> anyhow::Result<bool> {
        let sql = "update jobs set transaction_id = $3, updated_at = now() where id = $1 and attempts = $2 and state = 'running'";
        Ok(self.client().await?.execute(sql, &[&job.id, &job.attempts, &transaction]).await? == 1)
    }

    /// Records objects before they are created outside of the transaction. False if the lease was lost.
    pub(crate) async fn set_created_objects(&self, job: &Job, created: &Value) -> anyhow::Result<bool> {
        let sql = "update jobs set made = $3 where id = $1 and attempts = $2 and state = 'running'";
        Ok(self.client().await?.execute(sql, &[&job.id, &job.attempts, created]).await? == 1)
    }

    /// Finishes a job: stores the outcome, erases the secret, and records the events. False if the lease
    /// was lost.
    pub(crate) async fn finish_job(&self, job: &Job, ending: &JobOutcome) -> anyhow::Result<bool> {
        let state = if ending.error.is_some() { "failed" } else { "completed" };
        let class = ending.error.as_ref().map(|_| if ending.transient { "transient" } else { "permanent" });
        let sql = format!(
            "update jobs set state = $3, result = $4, error = $5, last_exit_code = $6, last_stderr = $7,
                 retry_classification = $8, secret = null, lease_until = null, completed_at = now(), updated_at = now()
             where id = $1 and attempts = $2 and state = 'running' returning {COLUMNS}"
        );
        let values: [&(dyn ToSql + Sync); 8] =
            [&job.id, &job.attempts, &state, &ending.result, &ending.error, &ending.exit_code, &ending.stderr, &class];
        Ok(self.change_and_record(&sql, &values).await?.is_some())
    }

    /// Releases an unfinished job; the attempt does not count.
    pub(crate) async fn release_job(&self, job: &Job) -> anyhow::Result<()> {
        let sql = "update jobs set state = 'pending', attempts = attempts - 1, lease_until = null, claimed_by = null,
                       claimed_at = null, result = null, updated_at = now()
                   where id = $1 and attempts = $2 and state = 'running'";
        self.client().await?.execute(sql, &[&job.id, &job.attempts]).await?;
        Ok(())
    }

    /// Whether another running import needs this role of the target server.
    pub(crate) async fn is_role_needed(&self, job: &Job, role: &str) -> anyhow::Result<bool> {
        let sql = "select from jobs where state = 'running' and id <> $1 and made->'roles' ? $2 limit 1";
        Ok(self.client().await?.query_opt(sql, &[&job.id, &role]).await?.is_some())
    }

    /// The number of pending and running jobs by type, with the age of the oldest in seconds.
    pub(crate) async fn queue(&self) -> anyhow::Result<Vec<Queued>> {
        let sql = "select type, state, count(*), coalesce(extract(epoch from now() - min(created_at)), 0)::float8
                   from jobs where state in ('pending', 'running') group by 1, 2";
        let rows = self.client().await?.query(sql, &[]).await?;
        let queued = |row: &Row| Queued { kind: row.get(0), state: row.get(1), jobs: row.get(2), oldest: row.get(3) };
        Ok(rows.iter().map(queued).collect())
    }

    /// Whether this database belongs to a project without an unfinished import.
    pub(crate) async fn is_idle(&self, database: &str) -> anyhow::Result<bool> {
        let sql = "select from projects p where p.database_name = $1 and not exists (
                       select from jobs j where j.project_id = p.id and j.type = 'project.import'
                       and j.state in ('pending', 'running'))";
        Ok(self.client().await?.query_opt(sql, &[&database]).await?.is_some())
    }

    /// Expires all leases, for a start at which no other worker can be running.
    pub(crate) async fn expire_all_leases(&self) -> anyhow::Result<()> {
        self.client().await?.execute("update jobs set lease_until = now() where state = 'running'", &[]).await?;
        Ok(())
    }
}

/// Stores a job, within a transaction or on its own.
pub(super) async fn insert(client: &impl GenericClient, new: &NewJob<'_>) -> Result<Job, tokio_postgres::Error> {
    let sql = format!(
        "insert into jobs (id, type, state, max_attempts, organization_id, project_id, request, secret)
         values ($1, $2, 'pending', $3, $4, $5, $6, $7) returning {COLUMNS}"
    );
    let values: [&(dyn ToSql + Sync); 7] =
        [&new_id(), &new.kind, &MAX_ATTEMPTS, &new.organization_id, &new.project_id, &new.request, &new.secret];
    Ok(from_row(&client.query_one(&sql, &values).await?))
}

fn from_row(row: &Row) -> Job {
    let time = |column: usize| row.get::<_, Option<jiff::Timestamp>>(column).map(rfc3339);
    let state = match row.get(2) {
        "pending" => JobState::Pending,
        "running" => JobState::Running,
        "completed" => JobState::Completed,
        _ => JobState::Failed,
    };
    let project_id: Option<String> = row.get(6);
    Job {
        id: row.get(0),
        kind: row.get(1),
        state,
        attempts: row.get(3),
        max_attempts: row.get(4),
        organization_id: row.get(5),
        locked_resource: project_id.as_ref().map(|id| format!("project:{id}")),
        project_id,
        created_at: time(7).unwrap_or_default(),
        updated_at: time(8).unwrap_or_default(),
        claimed_at: time(9),
        claimed_by: row.get(10),
        started_at: time(11),
        completed_at: time(12),
        error: row.get(13),
        last_exit_code: row.get(14),
        last_stdout: row.get(15),
        last_stderr: row.get(16),
        retry_classification: row.get(17),
        result: row.get(18),
    }
}
