//! `capydb server`: the control plane past one machine. Metadata and queue are in a Postgres that
//! is named, dumps in a bucket, the projects' databases on a Postgres that is named; processes of
//! this kind are all the same, and there can be any number of them.

use super::crypto::{SecretBox, new_api_key, unhex};
use super::jobs::work_dirs::WorkDirs;
use super::metadata::Store;
use super::metrics::Metrics;
use super::objects::{Objects, S3};
use super::outbound::integrations::ProviderApis;
use super::postgres::{Endpoint, Programs, Tools, find, run_as, server_major};
use super::state::{Core, instance_id};
use super::supervisor::{TaskSet, make_work_folder};
use super::target::TargetServer;
use super::wakeups::Wakeups;
use super::{api, outbound::egress};
use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use url::Url;

/// Where the API listens unless another address is named.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7654";

/// What every process of one control plane shares.
#[derive(Debug)]
pub struct SharedOptions {
    /// The Postgres of metadata and queue: the URL of an empty database, or of one that a process
    /// before has filled.
    pub database_url: SecretString,
    /// The key that secrets at rest are sealed with: 64 hexadecimal digits.
    pub secret_key: SecretString,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// It answers the API.
    pub api: bool,
    /// It runs jobs, so many at a time.
    pub worker: Option<usize>,
}

/// How to start a process.
#[derive(Debug)]
pub struct ServiceOptions {
    /// What it shares with the others.
    pub shared: SharedOptions,
    /// The Postgres of the projects' databases, as a superuser; by default that of the metadata.
    pub target_url: Option<SecretString>,
    /// The bucket: `s3://bucket/prefix`.
    pub object_store: String,
    /// What it does.
    pub roles: Roles,
    /// Where it listens: the API, or for a worker only what tells how it is.
    pub listen: SocketAddr,
    /// Where the API is reached from outside.
    pub public_url: Option<Url>,
    /// Folder of Postgres programs, of the target's major version.
    pub postgres_bin: Option<PathBuf>,
    /// Where imports put what they load.
    pub work_dir: PathBuf,
    /// The plan limit of new projects, in bytes.
    pub plan_limit: u64,
    /// Whether sources in private networks may be dialled.
    pub allow_private_sources: bool,
}

/// A running process.
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    /// Base URL of the API.
    pub api_url: String,
    /// Major version of the targets.
    pub postgres_major: u32,
    running: TaskSet,
}

/// Connects with everything, and starts. `tell` gets lines for the person who waits.
pub async fn start(options: ServiceOptions, tell: &dyn Fn(&str)) -> anyhow::Result<Service> {
    check_reachable(&options)?;
    let metadata = endpoint(&options.shared.database_url, "the URL of the metadata (CAPYDB_DATABASE_URL)")?;
    let target = match &options.target_url {
        Some(url) => endpoint(url, "the URL of the target (CAPYDB_TARGET_URL)")?,
        None => metadata.clone(),
    };
    let (store, secret_box, instance) = open(&options.shared, &metadata).await?;
    let (target, major) = inspect_target(target, instance).await?;
    let tools = match options.roles.worker {
        Some(_) => Some(Tools { programs: programs(options.postgres_bin.as_deref(), major, tell)?, run_as: run_as()? }),
        None => None,
    };
    let bucket = S3::open(&options.object_store)?;
    bucket.check().await.context("use the object store")?;
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.with_context(|| format!("listen at {}; choose another with --listen", options.listen))?;
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
    if let (Some(at_a_time), Some(tools)) = (options.roles.worker, tools) {
        let folder = work_folder(&options.work_dir, &core.target.instance, &tools)?;
        running.start_workers(&core, WorkDirs { tools, root: folder }, at_a_time);
    }
    Ok(Service { address, api_url, postgres_major: major, running })
}

impl Service {
    /// Ends everything: no new work, running imports are handed back to the others.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// A folder of this control plane's own below the one that was named, which may hold other things.
fn work_folder(below: &Path, instance: &str, tools: &Tools) -> anyhow::Result<PathBuf> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(below)
        .with_context(|| format!("make the folder {}", below.display()))?;
    let folder = below.canonicalize()?.join(format!("capydb-{instance}"));
    make_work_folder(&folder, tools.run_as.as_ref())?;
    if let Some(user) = &tools.run_as {
        user.check_reachable(&folder)?;
        user.check_reachable(tools.programs.bin())?;
    }
    Ok(folder)
}

/// Makes a key of an organization, which is made when it is not there. The key is shown this once.
pub async fn new_key(shared: &SharedOptions, organization: &str) -> anyhow::Result<String> {
    let (store, ..) =
        open(shared, &endpoint(&shared.database_url, "the URL of the metadata (CAPYDB_DATABASE_URL)")?).await?;
    let slug = super::api::slug_of(organization);
    let (id, name) = store.organization(organization, &slug).await?;
    if name != organization {
        bail!("the short name {slug} belongs to the organization {name} already; choose a name that differs more");
    }
    let key = new_api_key();
    store.add_key(&id, &key).await?;
    Ok(key)
}

/// Makes a key worthless. False when there is none.
pub async fn revoke_key(shared: &SharedOptions, key: &str) -> anyhow::Result<bool> {
    let metadata = endpoint(&shared.database_url, "the URL of the metadata (CAPYDB_DATABASE_URL)")?;
    let (store, ..) = open(shared, &metadata).await?;
    store.remove_key(key).await
}

/// Whoever is called from other machines has to know under which name.
fn check_reachable(options: &ServiceOptions) -> anyhow::Result<()> {
    if options.roles.api && options.public_url.is_none() && !options.listen.ip().is_loopback() {
        bail!("an API that other machines reach must know its own address: name it with --public-url https://…");
    }
    Ok(())
}

fn endpoint(url: &SecretString, what: &str) -> anyhow::Result<Endpoint> {
    Endpoint::parse(url.expose_secret()).with_context(|| format!("{what} cannot be used"))
}

/// Opens the metadata, and checks that this process can read its secrets.
/// Gives the control plane's own id, too.
async fn open(shared: &SharedOptions, metadata: &Endpoint) -> anyhow::Result<(Store, SecretBox, String)> {
    const WORD: &str = "capydb";
    let key = unhex(shared.secret_key.expose_secret().trim()).filter(|key| key.len() == 32);
    let key = key.context("the secret key must have 64 hexadecimal digits; make one with: openssl rand -hex 32")?;
    let secret_box = SecretBox::new(&key)?;
    let store = Store::open(metadata).await?;
    store.revoke_public_access().await?;
    let sealed = store.seal_check(&secret_box.seal(WORD)?).await?;
    if secret_box.open(&sealed).is_ok_and(|word| word == WORD) {
        return Ok((store, secret_box, instance_id(&sealed)));
    }
    bail!("the secret key is not the one that this metadata was made with");
}

/// Learns what the target server is. Only a superuser can make all that imports need.
async fn inspect_target(endpoint: Endpoint, instance: String) -> anyhow::Result<(TargetServer, u32)> {
    let endpoint = endpoint.with(|config| {
        config.dbname("postgres");
    });
    let session = endpoint.connect().await.context("connect to the server of the projects' databases")?;
    let sql = "select rolsuper from pg_roles where rolname = current_user";
    if !session.query_one(sql, &[]).await?.get::<_, bool>(0) {
        bail!("the role of the target URL is not a superuser, who alone can create extensions such as postgis");
    }
    let major = server_major(&session).await?;
    let mut target = TargetServer { endpoint, major, instance, extensions: Vec::new() };
    target.load_available_extensions().await?;
    Ok((target, major))
}

/// Programs of another version would write what the target does not understand.
fn programs(named: Option<&Path>, major: u32, tell: &dyn Fn(&str)) -> anyhow::Result<Programs> {
    let programs = find(named, tell)?;
    if programs.version.0 != major {
        bail!(
            "the target runs Postgres {major}, and the programs in {} are of {}; name those of {major} with --postgres-bin",
            programs.bin().display(),
            programs.version.0
        );
    }
    Ok(programs)
}
