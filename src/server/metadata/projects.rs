//! Projects.

use super::{NewJob, Store, new_id, rfc3339};
use crate::wire::{Job, PROJECT_CREATE, Project};
use tokio_postgres::Row;

/// A project as stored. The API adds the fields that depend on the running control plane.
#[derive(Clone)]
pub(crate) struct ProjectRow {
    /// The project as the API returns it.
    pub project: Project,
    /// Its state.
    pub state: ProjectState,
    /// The role's password, encrypted.
    pub role_password: Vec<u8>,
}

/// The state of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProjectState {
    /// Its database is being created.
    Creating,
    /// Its database is ready.
    Ready,
    /// Its database could not be created.
    Failed,
}

impl ProjectState {
    fn parse(stored: &str) -> Self {
        match stored {
            "ready" => Self::Ready,
            "failed" => Self::Failed,
            _ => Self::Creating,
        }
    }

    /// The value in the metadata and in the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }
}

/// The fields of a new project.
pub(crate) struct NewProject<'a> {
    /// The owning organization.
    pub organization_id: &'a str,
    /// Display name.
    pub name: &'a str,
    /// Name in URLs.
    pub slug: &'a str,
    /// `development` and the like.
    pub environment: &'a str,
    /// Name of its region.
    pub region: &'a str,
    /// Name of its plan.
    pub plan: &'a str,
    /// The plan limit, in bytes.
    pub storage_limit_bytes: u64,
    /// The role's password, encrypted.
    pub role_password: &'a [u8],
}

const COLUMNS: &str =
    "p.id, p.name, p.slug, p.organization_id, p.environment, p.plan, p.region, p.state, p.database_name,
    p.role_name, p.storage_limit_bytes, p.last_error, p.created_at, p.updated_at, p.role_password,
    (select j.id from jobs j where j.project_id = p.id order by j.created_at desc, j.id desc limit 1)";

impl Store {
    /// An organization's projects by name; if the key is restricted, only its project.
    pub(crate) async fn projects(&self, organization: &str, only: Option<&str>) -> anyhow::Result<Vec<ProjectRow>> {
        let sql = format!(
            "select {COLUMNS} from projects p where p.organization_id = $1 and ($2::text is null or p.id = $2) order by p.name"
        );
        let rows = self.client().await?.query(&sql, &[&organization, &only]).await?;
        Ok(rows.iter().map(from_row).collect())
    }

    /// One project, of any organization.
    pub(crate) async fn project(&self, id: &str) -> anyhow::Result<Option<ProjectRow>> {
        if id.contains('\0') {
            return Ok(None); // Postgres text cannot contain NUL
        }
        let sql = format!("select {COLUMNS} from projects p where p.id = $1");
        Ok(self.client().await?.query_opt(&sql, &[&id]).await?.as_ref().map(from_row))
    }

    /// Stores a project and the job that creates it, in one transaction. A failed project is created
    /// again. `None` if the slug is taken.
    pub(crate) async fn create_project(&self, new: &NewProject<'_>) -> anyhow::Result<Option<(String, Job)>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let id = new_id();
        // The end of the id makes the name unique, and the prefix avoids the names that Postgres
        // reserves (`pg_`).
        let name = format!("capy_{}_{}", new.slug.replace('-', "_"), &id[id.len() - 6..]);
        let limit = i64::try_from(new.storage_limit_bytes).unwrap_or(i64::MAX);
        let sql = "insert into projects (id, organization_id, name, slug, environment, region, plan, state,
                       database_name, role_name, role_password, storage_limit_bytes)
                   values ($1, $2, $3, $4, $5, $6, $7, $11, $8, $8, $9, $10)
                   on conflict (organization_id, slug) do update
                   set state = $11, last_error = null, updated_at = now(), name = excluded.name,
                       environment = excluded.environment, region = excluded.region, plan = excluded.plan,
                       storage_limit_bytes = excluded.storage_limit_bytes
                   where projects.state = $12
                   returning id";
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 12] = [
            &id,
            &new.organization_id,
            &new.name,
            &new.slug,
            &new.environment,
            &new.region,
            &new.plan,
            &name,
            &new.role_password,
            &limit,
            &ProjectState::Creating.as_str(),
            &ProjectState::Failed.as_str(),
        ];
        let Some(row) = transaction.query_opt(sql, &values).await? else { return Ok(None) };
        let id: String = row.get(0);
        let job = NewJob {
            kind: PROJECT_CREATE,
            organization_id: new.organization_id,
            project_id: &id,
            request: serde_json::json!({}),
            secret: None,
        };
        let job = super::jobs::insert(&*transaction, &job).await?;
        transaction.commit().await?;
        Ok(Some((id, job)))
    }

    /// Changes the plan limit of a project, in bytes.
    pub(crate) async fn set_storage_limit(&self, id: &str, bytes: u64) -> anyhow::Result<()> {
        let limit = i64::try_from(bytes).unwrap_or(i64::MAX);
        let sql = "update projects set storage_limit_bytes = $2, updated_at = now() where id = $1 and storage_limit_bytes <> $2";
        self.client().await?.execute(sql, &[&id, &limit]).await?;
        Ok(())
    }

    /// Sets the state of a project that is being created, and its error.
    pub(crate) async fn set_project_state(
        &self,
        id: &str,
        state: ProjectState,
        error: Option<&str>,
    ) -> anyhow::Result<()> {
        let sql = "update projects set state = $2, last_error = $3, updated_at = now()
                   where id = $1 and state = 'creating'";
        self.client().await?.execute(sql, &[&id, &state.as_str(), &error]).await?;
        Ok(())
    }
}

fn from_row(row: &Row) -> ProjectRow {
    let project = Project {
        id: row.get(0),
        name: row.get(1),
        slug: row.get(2),
        organization_id: row.get(3),
        environment: row.get(4),
        plan: row.get(5),
        region: row.get(6),
        state: row.get(7),
        database_name: row.get(8),
        role_name: row.get(9),
        storage_limit_bytes: u64::try_from(row.get::<_, i64>(10)).unwrap_or_default(),
        last_error: row.get(11),
        created_at: rfc3339(row.get(12)),
        updated_at: rfc3339(row.get(13)),
        latest_job_id: row.get(15),
        ..Project::default()
    };
    ProjectRow { state: ProjectState::parse(&project.state), project, role_password: row.get(14) }
}
