//! `capydb dev`: a whole control plane on one machine, with everything embedded.

use super::crypto::{SecretBox, Signer, new_api_key, random_hex, unhex};
use super::jobs::work_dirs::WorkDirs;
use super::metadata::{ProjectRow, ProjectState, Store};
use super::metrics::Metrics;
use super::objects::{Disk, Objects, S3};
use super::outbound::integrations::ProviderApis;
use super::postgres::{Cluster, ClusterOptions, Endpoint, Programs, RunAs, Tools, find, run_as};
use super::state::{Core, instance_id};
use super::supervisor::{TaskSet, make_work_folder};
use super::target::TargetServer;
use super::wakeups::Wakeups;
use super::{api, outbound::egress};
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

/// The port of the API unless another is asked for.
pub const DEFAULT_PORT: u16 = 7654;
/// The plan limit of new projects unless another is asked for, in bytes.
pub const DEFAULT_PLAN_LIMIT: u64 = 10_000_000_000;

/// The project of every dev control plane.
const PROJECT: &str = "dev";
/// Name of the file that holds the API key.
const KEY_FILE: &str = "api-key";

/// How to start.
#[derive(Debug)]
pub struct DevOptions {
    /// Where everything lives; made when missing.
    pub data_dir: PathBuf,
    /// The data is thrown away at the end.
    pub ephemeral: bool,
    /// Port of the API on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Folder of Postgres programs.
    pub postgres_bin: Option<PathBuf>,
    /// Plan limit in bytes; set on the project `dev` when given.
    pub plan_limit: Option<u64>,
    /// Whether sources in private networks may be dialled.
    pub allow_private_sources: bool,
    /// A bucket for dumps, `s3://bucket/prefix`, instead of a folder.
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
    /// Where its data lives.
    pub data_dir: PathBuf,
    /// Major version of its targets.
    pub postgres_major: u32,
    cluster: Cluster,
    running: TaskSet,
    /// Held while it runs, so that no second one takes the same folder.
    _lock: File,
    /// Last, so that the folder goes when nothing uses it any more.
    temporary: Option<TemporaryDataDir>,
}

/// A folder that is removed with this.
struct TemporaryDataDir(PathBuf);

impl Drop for TemporaryDataDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::error!("the throw-away data stays in {}: {error}", self.0.display());
        }
    }
}

/// Where the data lives unless another folder is named. Root's own folder would be closed to
/// the user that Postgres runs as.
pub fn default_data_dir() -> anyhow::Result<PathBuf> {
    use etcetera::BaseStrategy;
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/capydb/dev"));
    }
    let base =
        etcetera::base_strategy::choose_base_strategy().context("find the home folder; name one with --data-dir")?;
    Ok(base.data_dir().join("capydb").join("dev"))
}

/// A folder of its own below the system's folder for temporary files. What a kill has left
/// of earlier ones goes.
pub fn ephemeral_data_dir() -> PathBuf {
    let parent = std::env::temp_dir();
    for folder in fs::read_dir(&parent).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if is_left_behind(&folder) {
            let _ = fs::remove_dir_all(&folder); // of no harm if it stays
        }
    }
    parent.join(format!("{EPHEMERAL}{}", random_hex(6)))
}

/// Beginning of the names of throw-away folders.
const EPHEMERAL: &str = "capydb-";

/// Whether a folder is a throw-away one of ours, of which nobody holds the lock.
fn is_left_behind(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let random = name.strip_prefix(EPHEMERAL).is_some_and(|rest| rest.len() == 12 && unhex(rest).is_some());
    let ours = fs::symlink_metadata(folder)
        .is_ok_and(|about| about.is_dir() && about.uid() == rustix::process::geteuid().as_raw());
    random && ours && File::open(folder.join(LOCK_FILE)).is_ok_and(|lock| lock.try_lock().is_ok())
}

/// Starts everything and waits until the project is ready. `tell` gets lines for the person
/// who waits.
pub async fn start(options: DevOptions, tell: &dyn Fn(&str)) -> anyhow::Result<Dev> {
    let options = &options;
    let run_as = run_as()?;
    let data_dir = make_data_dir(&options.data_dir, run_as.as_ref())?;
    // Before all else that may fail or be interrupted, so that it goes after all else.
    let temporary = options.ephemeral.then(|| TemporaryDataDir(data_dir.clone()));
    let lock = lock(&data_dir)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.with_context(|| {
        format!("take the port {} (is another one running? choose one with --port, or --port 0)", options.port)
    })?;
    let programs = find(options.postgres_bin.as_deref(), tell)?;
    let mut secrets = DevSecrets::load_or_make(&data_dir)?;
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
        key_file: data_dir.join(KEY_FILE),
        data_dir,
        postgres_major: programs.version.0,
        cluster,
        running: TaskSet::default(),
        _lock: lock,
        temporary,
    };
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
    /// Opens the metadata, starts API and worker, and sees to it that there is a project.
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
        store.expire_all_leases().await?; // the lock says that no other worker lives
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
        make_work_folder(&folder, run_as.as_ref())?;
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

    /// Whether the data goes when it stops.
    pub fn is_ephemeral(&self) -> bool {
        self.temporary.is_some()
    }

    /// Waits until the private Postgres is gone, which nobody asked for.
    pub async fn postgres_exited(&mut self) {
        while self.cluster.is_running() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Stops everything: no new work, running imports are handed back for the next start.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.running.stop().await; // Postgres ends what is left
        tokio::task::spawn_blocking(|| self.cluster.stop()).await?
    }
}

/// Name of the metadata's database.
const METADATA: &str = "capydb";

async fn create_metadata(admin: &Endpoint) -> anyhow::Result<()> {
    let client = admin.connect().await?;
    if client.query_opt("select from pg_database where datname = $1", &[&METADATA]).await?.is_none() {
        client.batch_execute(&format!("create database {METADATA}")).await?;
    }
    // Projects' roles may not look into it, nor into the administrator's own.
    Ok(client.batch_execute(&format!("revoke all on database {METADATA}, postgres, template1 from public")).await?)
}

/// The organization, its key and the project `dev`, made at the first start.
async fn ensure_project(core: &Core, secrets: &DevSecrets) -> anyhow::Result<ProjectRow> {
    let (organization, _) = core.store.organization("Development", PROJECT).await?;
    core.store.add_key(&organization, &secrets.api_key).await?;
    core.create_project(&organization, PROJECT, PROJECT, "development").await?;
    loop {
        let rows = core.store.projects(&organization, None).await?;
        let row = rows.into_iter().find(|row| row.project.slug == PROJECT).context("the project dev is gone")?;
        match row.state {
            ProjectState::Ready => return Ok(row),
            ProjectState::Failed => {
                bail!("the project dev could not be made: {}", row.project.last_error.unwrap_or_default())
            }
            ProjectState::Creating => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// What a control plane must remember to read its own data; a file that only its owner reads.
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
    fn load_or_make(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join("secrets.json");
        let key_path = data_dir.join(KEY_FILE);
        if path.is_file() {
            let mut secrets: Self = serde_json::from_str(&fs::read_to_string(&path)?)
                .map_err(|_| anyhow::anyhow!("{} is damaged", path.display()))?;
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
        write_private(&path, &serde_json::to_vec_pretty(self)?).with_context(|| format!("write {}", path.display()))
    }
}

fn key(digits: &str) -> anyhow::Result<Vec<u8>> {
    unhex(digits).context("a key in secrets.json is damaged")
}

/// The folder of everything. When the server runs as another user, that one must pass
/// through, and see nothing on the way.
fn make_data_dir(path: &Path, run_as: Option<&RunAs>) -> anyhow::Result<PathBuf> {
    let mode = if run_as.is_some() { 0o711 } else { 0o700 };
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.with_context(|| format!("make the data folder {}", path.display()))?;
    let known = path.join("secrets.json").exists() || path.join(LOCK_FILE).exists();
    if !known && fs::read_dir(path)?.next().is_some() {
        bail!("{} holds other files; name an empty folder with --data-dir", path.display());
    }
    Ok(path.canonicalize()?)
}

const LOCK_FILE: &str = "lock";

fn lock(data_dir: &Path) -> anyhow::Result<File> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(data_dir.join(LOCK_FILE))?;
    if file.try_lock().is_err() {
        bail!(
            "another capydb dev is running on {}; stop it, or name another folder with --data-dir",
            data_dir.display()
        );
    }
    Ok(file)
}
