//! `capydb dev`: a complete control plane on one machine, including a private Postgres.

use super::crypto::{SecretBox, Signer, new_api_key, random_hex, unhex};
use super::jobs::work_dirs::WorkDirs;
use super::metadata::{ProjectRow, ProjectState, Store};
use super::metrics::Metrics;
use super::objects::{Disk, Objects, S3};
use super::outbound::integrations::ProviderApis;
use super::postgres::{Cluster, ClusterOptions, Endpoint, Programs, RunAs, Tools, find, run_as};
use super::state::{Core, instance_id};
use super::supervisor::{TaskSet, create_work_dir};
use super::target::TargetServer;
use super::wakeups::Wakeups;
use super::{api, egress};
use crate::util::dirs::{DEV_KEY_FILE, DEV_LOCK_FILE, DEV_URL_FILE};
use crate::util::fs::write_private;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Default port of the API.
pub const DEFAULT_PORT: u16 = 7654;
/// Default plan limit of new projects, in bytes.
pub const DEFAULT_PLAN_LIMIT: u64 = 10_000_000_000;

/// The project that every dev control plane has.
const PROJECT: &str = "dev";

/// Startup options.
#[derive(Debug)]
pub struct DevOptions {
    /// Directory of all data; created if missing.
    pub data_dir: PathBuf,
    /// Whether the data is deleted on exit.
    pub ephemeral: bool,
    /// Port of the API on 127.0.0.1; 0 selects a free one.
    pub port: u16,
    /// Directory of the Postgres programs.
    pub postgres_bin: Option<PathBuf>,
    /// Plan limit in bytes; if given, the project `dev` gets it too.
    pub plan_limit: Option<u64>,
    /// Whether sources in private networks are allowed.
    pub allow_private_sources: bool,
    /// A bucket for dumps, `s3://bucket/prefix`, instead of a directory.
    pub object_store: Option<String>,
}

/// A running control plane.
pub struct Dev {
    /// Base URL of its API.
    pub api_url: String,
    /// Its API key.
    pub api_key: String,
    /// The file that holds the key.
    pub key_file: PathBuf,
    /// Directory of its data.
    pub data_dir: PathBuf,
    /// Major version of its targets.
    pub postgres_major: u32,
    cluster: Cluster,
    running: TaskSet,
    /// Held while it runs, so that no second process uses the same directory.
    _lock: File,
    /// Dropped last, so that the directory is removed when nothing uses it.
    temporary: Option<TemporaryDataDir>,
}

/// A directory that is removed on drop.
struct TemporaryDataDir(PathBuf);

impl Drop for TemporaryDataDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::error!("cannot remove the temporary data in {}: {error}", self.0.display());
        }
    }
}

/// A new directory below the system's directory for temporary files. Those of earlier processes that
/// were killed are removed.
pub fn ephemeral_data_dir() -> PathBuf {
    let parent = std::env::temp_dir();
    for folder in fs::read_dir(&parent).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if is_left_behind(&folder) {
            let _ = fs::remove_dir_all(&folder); // best effort
        }
    }
    parent.join(format!("{EPHEMERAL}{}", random_hex(6)))
}

/// Prefix of the names of temporary data directories.
const EPHEMERAL: &str = "capydb-";

/// Whether a directory is a temporary data directory of this user whose lock is free.
fn is_left_behind(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let random = name.strip_prefix(EPHEMERAL).is_some_and(|rest| rest.len() == 12 && unhex(rest).is_some());
    let ours = fs::symlink_metadata(folder)
        .is_ok_and(|about| about.is_dir() && about.uid() == rustix::process::geteuid().as_raw());
    random && ours && File::open(folder.join(DEV_LOCK_FILE)).is_ok_and(|lock| lock.try_lock().is_ok())
}

/// Starts everything and waits until the project is ready. `report` receives progress messages for the
/// user.
pub async fn start(options: DevOptions, report: &dyn Fn(&str)) -> anyhow::Result<Dev> {
    let options = &options;
    let run_as = run_as()?;
    let data_dir = create_data_dir(&options.data_dir, run_as.as_ref())?;
    // Created before anything that can fail, so that it is dropped after everything else.
    let temporary = options.ephemeral.then(|| TemporaryDataDir(data_dir.clone()));
    let lock = lock(&data_dir)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.with_context(|| {
        format!("cannot listen on port {}; if it is in use, choose another with --port, or --port 0", options.port)
    })?;
    let programs = find(options.postgres_bin.as_deref(), report)?;
    let mut secrets = DevSecrets::load_or_create(&data_dir)?;
    let cluster = Cluster::start(&ClusterOptions {
        programs: &programs,
        folder: &data_dir.join("postgres"),
        password: &secrets.admin_password,
        port: secrets.postgres_port,
        run_as: run_as.as_ref(),
        durable: !options.ephemeral,
    })
    .await?;
    let mut dev = Dev {
        api_url: format!("http://{}{}", listener.local_addr()?, api::BASE),
        api_key: secrets.api_key.clone(),
        key_file: data_dir.join(DEV_KEY_FILE),
        data_dir,
        postgres_major: programs.version.0,
        cluster,
        running: TaskSet::default(),
        _lock: lock,
        temporary,
    };
    fs::write(dev.data_dir.join(DEV_URL_FILE), &dev.api_url).context("cannot write the address of the API")?;
    if secrets.postgres_port.replace(dev.cluster.port) != Some(dev.cluster.port) {
        secrets.save(&dev.data_dir)?;
    }
    match dev.serve(options, listener, programs, run_as, &secrets).await {
        Ok(()) => Ok(dev),
        Err(error) => {
            if let Err(second) = dev.stop().await {
                tracing::error!("{second:#}");
            }
            Err(error)
        }
    }
}

impl Dev {
    /// Opens the metadata, starts the API and a worker, and creates the project if it is missing.
    async fn serve(
        &mut self,
        options: &DevOptions,
        listener: TcpListener,
        programs: Programs,
        run_as: Option<RunAs>,
        secrets: &DevSecrets,
    ) -> anyhow::Result<()> {
        let admin = self.cluster.admin(&secrets.admin_password)?;
        create_metadata(&admin).await?;
        let metadata = admin.with(|config| {
            config.dbname(METADATA).application_name("capydb");
        });
        let store = Store::open(&metadata).await?;
        store.expire_all_leases().await?; // the lock file rules out other workers
        let secret_box = SecretBox::new(&key(&secrets.sealing_key)?)?;
        let instance = instance_id(&store.seal_check(&secret_box.seal(METADATA)?).await?);
        let mut target = TargetServer { endpoint: admin, major: programs.version.0, instance, extensions: Vec::new() };
        target.load_available_extensions().await?;
        let objects = if let Some(url) = &options.object_store {
            Objects::S3(S3::open(url)?)
        } else {
            let signer = Signer::new(&key(&secrets.signing_key)?);
            Objects::Disk(Disk::open(self.data_dir.join("objects"), signer, run_as.clone())?)
        };
        let core = Core {
            store,
            objects,
            secret_box,
            allow_private_sources: options.allow_private_sources,
            plan_limit: options.plan_limit.unwrap_or(DEFAULT_PLAN_LIMIT),
            target: Arc::new(target),
            is_local: true,
            webhook_client: egress::webhook_client(true)?,
            providers: ProviderApis::from_environment()?,
            metrics: Metrics::new(),
            wakeups: Wakeups::default(),
        };
        let core = Arc::new(core);
        let folder = self.data_dir.join("work");
        create_work_dir(&folder, run_as.as_ref())?;
        let state = api::ApiState {
            core: core.clone(),
            host: api::ApiHost { address: listener.local_addr()?, public: None },
            owner_key: Some(secrets.api_key.clone().into()),
            admission: api::Admission::new(),
        };
        self.running.serve_api(Arc::new(state), listener);
        self.running.start_workers(&core, WorkDirs { tools: Tools { programs, run_as }, root: folder }, 1);
        let project = ensure_project(&core, secrets).await?;
        if let Some(limit) = options.plan_limit {
            core.store.set_storage_limit(&project.project.id, limit).await?;
        }
        Ok(())
    }

    /// Whether the data is deleted on exit.
    pub fn is_ephemeral(&self) -> bool {
        self.temporary.is_some()
    }

    /// Waits until the private Postgres has stopped unexpectedly.
    pub async fn postgres_exited(&mut self) {
        while self.cluster.is_running() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Stops everything: no new work starts, and running imports are released for the next start.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.running.stop().await; // stopping Postgres ends the remaining sessions
        tokio::task::spawn_blocking(|| self.cluster.stop()).await?
    }
}

/// Name of the metadata database.
const METADATA: &str = "capydb";

async fn create_metadata(admin: &Endpoint) -> anyhow::Result<()> {
    let client = admin.connect().await?;
    if client.query_opt("select from pg_database where datname = $1", &[&METADATA]).await?.is_none() {
        client.batch_execute(&format!("create database {METADATA}")).await?;
    }
    // Projects' roles must not connect to the metadata or to the administrator's databases.
    Ok(client.batch_execute(&format!("revoke all on database {METADATA}, postgres, template1 from public")).await?)
}

/// Creates the organization, its key and the project `dev` on the first start, and returns the project.
async fn ensure_project(core: &Core, secrets: &DevSecrets) -> anyhow::Result<ProjectRow> {
    let (organization, _) = core.store.organization("Development", PROJECT).await?;
    core.store.add_key(&organization, &secrets.api_key).await?;
    core.create_project(&organization, PROJECT, PROJECT, "development").await?;
    loop {
        let rows = core.store.projects(&organization, None).await?;
        let row = rows.into_iter().find(|row| row.project.slug == PROJECT).context("the project dev is missing")?;
        match row.state {
            ProjectState::Ready => return Ok(row),
            ProjectState::Failed => {
                bail!("cannot create the project dev: {}", row.project.last_error.unwrap_or_default())
            }
            ProjectState::Creating => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Secrets that a control plane needs to read its own data. Only the owner can read their file.
#[derive(Serialize, Deserialize)]
struct DevSecrets {
    admin_password: String,
    signing_key: String,
    sealing_key: String,
    #[serde(skip)]
    api_key: String,
    postgres_port: Option<u16>,
}

impl DevSecrets {
    fn load_or_create(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join("secrets.json");
        let key_path = data_dir.join(DEV_KEY_FILE);
        if path.is_file() {
            let mut secrets: Self = serde_json::from_str(&fs::read_to_string(&path)?)
                .map_err(|_| anyhow::anyhow!("cannot read {}: the file is damaged", path.display()))?;
            secrets.api_key = match fs::read_to_string(&key_path) {
                Ok(key) => key.trim().to_owned(),
                Err(_) => new_api_key(),
            };
            write_private(&key_path, format!("{}\n", secrets.api_key).as_bytes())?;
            return Ok(secrets);
        }
        let secrets = Self {
            admin_password: random_hex(24),
            signing_key: random_hex(32),
            sealing_key: random_hex(32),
            api_key: new_api_key(),
            postgres_port: None,
        };
        write_private(&key_path, format!("{}\n", secrets.api_key).as_bytes())?;
        secrets.save(data_dir)?;
        Ok(secrets)
    }

    fn save(&self, data_dir: &Path) -> anyhow::Result<()> {
        let path = data_dir.join("secrets.json");
        write_private(&path, &serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

fn key(digits: &str) -> anyhow::Result<Vec<u8>> {
    unhex(digits).context("secrets.json has a damaged key")
}

/// Creates the data directory. When Postgres runs as another user, that user can pass through the
/// directory but not list it.
fn create_data_dir(path: &Path, run_as: Option<&RunAs>) -> anyhow::Result<PathBuf> {
    let mode = if run_as.is_some() { 0o711 } else { 0o700 };
    let created = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    created.with_context(|| format!("cannot create the data directory {}", path.display()))?;
    let known = path.join("secrets.json").exists() || path.join(DEV_LOCK_FILE).exists();
    if !known && fs::read_dir(path)?.next().is_some() {
        bail!("{} contains other files; choose an empty directory with --data-dir", path.display());
    }
    Ok(path.canonicalize()?)
}

fn lock(data_dir: &Path) -> anyhow::Result<File> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(data_dir.join(DEV_LOCK_FILE))?;
    if file.try_lock().is_err() {
        bail!(
            "another capydb dev is using {}; stop it, or choose another directory with --data-dir",
            data_dir.display()
        );
    }
    Ok(file)
}
