//! `capydb server`: runs an API or worker process, and manages API keys.

use super::args::{KeyArgs, LogFormat, Role, ServerArgs, ServerCommand, SharedArgs};
use super::context::MAX_KEY;
use super::output::{Output, log_json, log_to_stderr};
use super::prompt::read_secret_line;
use super::signals::SignalStream;
use super::{CliError, ErrorKind};
use crate::config;
use crate::config::{ENV_DATABASE_URL, ENV_SECRET_KEY, ENV_TARGET_URL};
use crate::server::dev::DEFAULT_PLAN_LIMIT;
use crate::server::service::{self, Roles, Service, ServiceOptions, SharedOptions};
use secrecy::SecretString;
use std::path::PathBuf;
use url::Url;

/// `capydb server`: runs until a stop signal.
pub(super) fn run(args: ServerArgs, output: &Output, verbose: bool) -> Result<u8, CliError> {
    let level = if verbose { tracing::Level::DEBUG } else { tracing::Level::INFO };
    match args.options.log_format {
        LogFormat::Json => log_json(level),
        LogFormat::Text => log_to_stderr(level),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from)?;
    runtime.block_on(async {
        match args.command {
            Some(ServerCommand::NewKey(args)) => new_key(args, output).await,
            Some(ServerCommand::RevokeKey(args)) => revoke_key(args, output).await,
            None => serve(args, output).await,
        }
    })
}

async fn new_key(args: KeyArgs, output: &Output) -> Result<u8, CliError> {
    let name = args.organization.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(CliError::new(ErrorKind::Usage, "an organization name must have 1 to 100 printable characters"));
    }
    let key = service::new_key(&shared(args.shared)?, name).await?;
    output.result(&key, || serde_json::json!({ "api_key": key, "organization": name }));
    Ok(0)
}

async fn revoke_key(args: SharedArgs, output: &Output) -> Result<u8, CliError> {
    // Never an argument: all users of the machine can see arguments.
    let key = read_secret_line("API key", MAX_KEY)?;
    if !service::revoke_key(&shared(args)?, &key).await? {
        return Err(CliError::new(ErrorKind::NotFound, "API key not found; nothing was revoked"));
    }
    output.result("Revoked the API key.", || serde_json::json!({ "revoked": true }));
    Ok(0)
}

async fn serve(args: ServerArgs, output: &Output) -> Result<u8, CliError> {
    let ServerArgs { options, shared: common, .. } = args;
    let Some(object_store) = options.object_store else {
        return Err(CliError::new(ErrorKind::Usage, "--object-store is missing")
            .hint("set a bucket that all processes can reach: --object-store s3://bucket/prefix"));
    };
    let at_a_time = usize::from(options.concurrency);
    let roles = match options.role {
        Role::Api => Roles { api: true, worker: None },
        Role::Worker => Roles { api: false, worker: Some(at_a_time) },
        Role::All => Roles { api: true, worker: Some(at_a_time) },
    };
    let options = ServiceOptions {
        shared: shared(common)?,
        target_url: given(options.target_url, ENV_TARGET_URL),
        object_store,
        roles,
        listen: options.listen,
        public_url: options.public_url.map(|text| public_url(&text)).transpose()?,
        postgres_bin: options.postgres_bin.or_else(config::postgres_bin),
        work_dir: options.work_dir.unwrap_or_else(default_work_dir),
        plan_limit: options.plan_limit.unwrap_or(DEFAULT_PLAN_LIMIT),
        allow_private_sources: options.allow_private_sources,
    };
    let mut stop = SignalStream::listen().map_err(anyhow::Error::from)?;
    let report_changes = |line: &str| output.note(line);
    let service = tokio::select! {
        started = service::start(options, &report_changes) => started?,
        _ = stop.next() => return Err(CliError::new(ErrorKind::Interrupted, "interrupted during startup")),
    };
    output.result(&banner(&service, roles), || {
        serde_json::json!({ "api_url": roles.api.then_some(&service.api_url), "address": service.address.to_string() })
    });
    stop.next().await;
    tracing::info!("stopping: running jobs are released; a second signal stops immediately");
    tokio::select! {
        () = service.stop() => tracing::info!("stopped"),
        _ = stop.next() => tracing::warn!("stopped immediately; the next worker recovers the running jobs"),
    }
    Ok(0)
}

fn banner(service: &Service, roles: Roles) -> String {
    let mut lines = Vec::new();
    if roles.api {
        lines.push(format!("API: {}", service.api_url));
    }
    if let Some(at_a_time) = roles.worker {
        lines.push(format!("Worker: {at_a_time} concurrent imports into Postgres {}", service.postgres_major));
    }
    lines.push(format!("Health and metrics: http://{}/livez, /readyz, /metrics", service.address));
    lines.join("\n")
}

fn shared(args: SharedArgs) -> Result<SharedOptions, CliError> {
    let missing = |what: &str, hint: &str| CliError::new(ErrorKind::Usage, format!("{what} is not set")).hint(hint);
    let database_url = given(args.database_url, ENV_DATABASE_URL);
    // Never an argument: all users of the machine can see arguments.
    let secret_key = given(None, ENV_SECRET_KEY);
    Ok(SharedOptions {
        database_url: database_url.ok_or_else(|| {
            missing(ENV_DATABASE_URL, "set the metadata database: postgres://user:password@host/database")
        })?,
        secret_key: secret_key.ok_or_else(|| {
            missing(ENV_SECRET_KEY, "generate a key with: openssl rand -hex 32 (all processes need the same key)")
        })?,
    })
}

/// The value of the flag, else of the variable; empty values count as not set.
fn given(flag: Option<String>, variable: &str) -> Option<SecretString> {
    let set = |text: &String| !text.trim().is_empty();
    flag.filter(set).or_else(|| std::env::var(variable).ok().filter(set)).map(|text| SecretString::from(text.trim()))
}

fn public_url(text: &str) -> Result<Url, CliError> {
    let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.path() == "/");
    url.filter(|url| {
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none()
    })
    .ok_or_else(|| {
        CliError::new(ErrorKind::Usage, "--public-url must be a URL without a path, such as https://db.example.com")
    })
}

/// The default working directory of imports. For root it is fixed, because root's temporary
/// directory may be inaccessible to the user that the Postgres programs run as.
fn default_work_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/capydb/work");
    }
    std::env::temp_dir().join(format!("capydb-work-{}", rustix::process::geteuid().as_raw()))
}
