//! `capydb server`: a control plane for several machines. Metadata and queue are in one configured
//! Postgres, the projects' databases in another or the same one, and dumps in a bucket. Processes are
//! interchangeable, and there can be any number of them.

use super::crypto::{SecretBox, new_api_key, unhex};
use super::jobs::work_dirs::WorkDirs;
use super::metadata::Store;
use super::metrics::Metrics;
use super::objects::{Objects, S3};
use super::outbound::integrations::ProviderApis;
use super::postgres::{Endpoint, Programs, Tools, find, run_as, server_major};
use super::state::{Core, instance_id};
use super::supervisor::{TaskSet, create_work_dir};
use super::target::TargetServer;
use super::wakeups::Wakeups;
use super::{api, egress};
use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use url::Url;

/// Default listen address of the API.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7654";

/// What every process of one control plane shares.
#[derive(Debug)]
pub struct SharedOptions {
    /// URL of the metadata and queue database: empty, or created by an earlier process.
    pub database_url: SecretString,
    /// The key that encrypts secrets at rest: 64 hexadecimal digits.
    pub secret_key: SecretString,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Serves the API.
    pub api: bool,
    /// Runs up to this many jobs concurrently.
    pub worker: Option<usize>,
}

/// Startup options of a process.
#[derive(Debug)]
pub struct ServiceOptions {
    /// Settings shared by all processes of the control plane.
    pub shared: SharedOptions,
    /// Superuser URL of the server of the projects' databases; defaults to the metadata's server.
    pub target_url: Option<SecretString>,
    /// The bucket: `s3://bucket/prefix`.
    pub object_store: String,
    /// What the process does.
    pub roles: Roles,
    /// Listen address: of the API, or in a worker only of health checks and metrics.
    pub listen: SocketAddr,
    /// Public URL of the API.
    pub public_url: Option<Url>,
    /// Directory of the Postgres programs, which have the target's major version.
    pub postgres_bin: Option<PathBuf>,
    /// Directory for the files of running imports.
    pub work_dir: PathBuf,
    /// The plan limit of new projects, in bytes.
    pub plan_limit: u64,
    /// Whether sources in private networks are allowed.
    pub allow_private_sources: bool,
}

/// A running process.
pub struct Service {
    /// Listen address.
    pub address: SocketAddr,
    /// Base URL of the API.
    pub api_url: String,
    /// Major version of the target server.
    pub postgres_major: u32,
    running: TaskSet,
}

/// Connects to all services, and starts. `report` receives progress messages for the user.
pub async fn start(options: ServiceOptions, report: &dyn Fn(&str)) -> anyhow::Result<Service> {
    check_reachable(&options)?;
    let metadata = endpoint(&options.shared.database_url, "the metadata URL (CAPYDB_DATABASE_URL)")?;
    let target = match &options.target_url {
        Some(url) => endpoint(url, "the target URL (CAPYDB_TARGET_URL)")?,
        None => metadata.clone(),
    };
    let (store, secret_box, instance) = open(&options.shared, &metadata).await?;
    let (target, major) = inspect_target(target, instance).await?;
    let tools = match options.roles.worker {
        Some(_) => {
            Some(Tools { programs: programs(options.postgres_bin.as_deref(), major, report)?, run_as: run_as()? })
        }
        None => None,
    };
    let bucket = S3::open(&options.object_store)?;
    bucket.check().await.context("cannot use the object store")?;
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener
        .with_context(|| format!("cannot listen on {}; choose another address with --listen", options.listen))?;
    let address = listener.local_addr()?;
    let host = api::ApiHost { address, public: options.public_url };
    let api_url = host.api_url();
    let core = Core {
        store,
        objects: Objects::S3(bucket),
        secret_box,
        allow_private_sources: options.allow_private_sources,
        plan_limit: options.plan_limit,
        target: Arc::new(target),
        is_local: false,
        webhook_client: egress::webhook_client(false)?,
        providers: ProviderApis::from_environment()?,
        metrics: Metrics::new(),
        wakeups: Wakeups::default(),
    };
    let core = Arc::new(core);
    let state = Arc::new(api::ApiState { core: core.clone(), host, owner_key: None, admission: api::Admission::new() });
    let mut running = TaskSet::default();
    if options.roles.api {
        running.serve_api(state, listener);
    } else {
        running.serve_health(state, listener);
    }
    if let (Some(concurrent_jobs), Some(tools)) = (options.roles.worker, tools) {
        let folder = work_folder(&options.work_dir, &core.target.instance, &tools)?;
        running.start_workers(&core, WorkDirs { tools, root: folder }, concurrent_jobs);
    }
    Ok(Service { address, api_url, postgres_major: major, running })
}

impl Service {
    /// Stops everything: no new work starts, and running imports are released to other workers.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// This control plane's own directory below the configured one, which may contain other files.
fn work_folder(below: &Path, instance: &str, tools: &Tools) -> anyhow::Result<PathBuf> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(below)
        .with_context(|| format!("cannot create the directory {}", below.display()))?;
    let folder = below.canonicalize()?.join(format!("capydb-{instance}"));
    create_work_dir(&folder, tools.run_as.as_ref())?;
    if let Some(user) = &tools.run_as {
        user.check_reachable(&folder)?;
        user.check_reachable(tools.programs.bin())?;
    }
    Ok(folder)
}

/// Creates an API key, and its organization if missing. The key is returned only this once.
pub async fn new_key(shared: &SharedOptions, organization: &str) -> anyhow::Result<String> {
    let (store, ..) = open(shared, &endpoint(&shared.database_url, "the metadata URL (CAPYDB_DATABASE_URL)")?).await?;
    let slug = super::api::slug_of(organization);
    let (id, name) = store.organization(organization, &slug).await?;
    if name != organization {
        bail!("the slug {slug} already belongs to the organization {name}; choose a more distinct name");
    }
    let key = new_api_key();
    store.add_key(&id, &key).await?;
    Ok(key)
}

/// Revokes an API key. False if it does not exist.
pub async fn revoke_key(shared: &SharedOptions, key: &str) -> anyhow::Result<bool> {
    let metadata = endpoint(&shared.database_url, "the metadata URL (CAPYDB_DATABASE_URL)")?;
    let (store, ..) = open(shared, &metadata).await?;
    store.remove_key(key).await
}

/// An API that serves other machines needs its public URL, for the URLs in its responses.
fn check_reachable(options: &ServiceOptions) -> anyhow::Result<()> {
    if options.roles.api && options.public_url.is_none() && !options.listen.ip().is_loopback() {
        bail!("an API that listens on a non-loopback address needs --public-url https://…");
    }
    Ok(())
}

fn endpoint(url: &SecretString, what: &str) -> anyhow::Result<Endpoint> {
    Endpoint::parse(url.expose_secret()).with_context(|| format!("{what} is invalid"))
}

/// Opens the metadata, and checks that this process can decrypt its secrets. Also returns the id of
/// the control plane.
async fn open(shared: &SharedOptions, metadata: &Endpoint) -> anyhow::Result<(Store, SecretBox, String)> {
    const WORD: &str = "capydb";
    let key = unhex(shared.secret_key.expose_secret().trim()).filter(|key| key.len() == 32);
    let key = key.context("the secret key must have 64 hexadecimal digits; generate one with: openssl rand -hex 32")?;
    let secret_box = SecretBox::new(&key)?;
    let store = Store::open(metadata).await?;
    store.revoke_public_access().await?;
    let sealed = store.seal_check(&secret_box.seal(WORD)?).await?;
    if secret_box.open(&sealed).is_ok_and(|word| word == WORD) {
        return Ok((store, secret_box, instance_id(&sealed)));
    }
    bail!("the secret key does not match this metadata: it was created with another key");
}

/// Reads the target's version and extensions. The role must be a superuser to create extensions.
async fn inspect_target(endpoint: Endpoint, instance: String) -> anyhow::Result<(TargetServer, u32)> {
    let endpoint = endpoint.with(|config| {
        config.dbname("postgres");
    });
    let session = endpoint.connect().await.context("cannot connect to the target server")?;
    let sql = "select rolsuper from pg_roles where rolname = current_user";
    if !session.query_one(sql, &[]).await?.get::<_, bool>(0) {
        bail!("the role of the target URL must be a superuser to create extensions such as postgis");
    }
    let major = server_major(&session).await?;
    let mut target = TargetServer { endpoint, major, instance, extensions: Vec::new() };
    target.load_available_extensions().await?;
    Ok((target, major))
}

/// Finds the Postgres programs. Those of another major version may write SQL that the target rejects.
fn programs(named: Option<&Path>, major: u32, report: &dyn Fn(&str)) -> anyhow::Result<Programs> {
    let programs = find(named, report)?;
    if programs.version.0 != major {
        bail!(
            "the target runs Postgres {major}, but the programs in {} are {}; \
             choose those of {major} with --postgres-bin",
            programs.bin().display(),
            programs.version.0
        );
    }
    Ok(programs)
}
