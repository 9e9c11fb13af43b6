//! The source URL or file of an import, resolved by the provider's rules.

use super::args::{SOURCE_VARIABLE, SourceOptions};
use super::context::Context;
use super::prompt::read_secret_line;
use super::{CliError, ErrorKind, output::Output};
use crate::client::CallError;
use crate::preflight::{CHECKS_TARGET, SOURCE_CA};
use crate::source::address_policy::{self, Unreachable};
use crate::source::credentials::{self, PasswordSource};
use crate::source::providers::{self, Advice, Why};
use crate::source::{SourceUrl, SourceUrlError};
use crate::util::suggest::nearest;
use crate::wire::{PreflightRequest, Project};
use std::path::{Path, PathBuf};

/// Maximum length of a URL read from standard input, in bytes.
const MAX_URL: u64 = 16 << 10;

/// Maximum length of the file of `--source-ca`, in bytes: the bundle of a provider has a few hundred
/// kilobytes.
const MAX_AUTHORITIES: usize = 768 << 10;

/// The source as given.
pub(super) enum SourceArg {
    Url(String),
    /// Paths of dumps; `-` is standard input. At least one.
    Files(Vec<PathBuf>),
}

/// The source from flags, standard input or the environment.
pub(super) fn given(options: &SourceOptions) -> Result<SourceArg, CliError> {
    let files = if options.source.is_empty() { &options.file } else { &options.source };
    if let Some(text) = pasted(&options.source) {
        return Ok(SourceArg::Url(text));
    }
    if !files.is_empty() {
        if options.source_ca.is_some() {
            return Err(CliError::new(ErrorKind::Usage, "--source-ca is for a live source, not for a dump"));
        }
        return files.iter().try_for_each(|path| check_exists(path)).map(|()| SourceArg::Files(files.clone()));
    }
    match &options.source_url {
        Some(dash) if dash == "-" => read_secret_line("source URL", MAX_URL).map(SourceArg::Url),
        Some(url) => Ok(SourceArg::Url(url.clone())),
        None => match std::env::var(SOURCE_VARIABLE).ok() {
            Some(url) if url.trim().is_empty() => {
                Err(CliError::new(ErrorKind::Usage, format!("no source given: {SOURCE_VARIABLE} is set, but empty")))
            }
            Some(url) => Ok(SourceArg::Url(url)),
            None => Err(CliError::new(ErrorKind::Usage, "no source given")
                .hint(format!("name a URL or a dump file, or set {SOURCE_VARIABLE}: capydb import app.dump"))),
        },
    }
}

/// Positional arguments that are meant as a URL, a connection string or a command such as `psql …`, rather
/// than as paths.
fn pasted(arguments: &[PathBuf]) -> Option<String> {
    let words: Vec<&str> = arguments.iter().map(|argument| argument.to_str()).collect::<Option<_>>()?;
    let text = words.join(" ");
    let is_command = ["psql ", "pg_dump "].iter().any(|command| text.starts_with(command));
    let is_connection = words.len() == 1 && (text.contains("://") || text.contains('=') || text.starts_with('$'));
    ((is_command || is_connection) && !arguments.iter().all(|path| path.exists())).then_some(text)
}

/// Fails if there is no such file; standard input always exists.
fn check_exists(path: &Path) -> Result<(), CliError> {
    if path == Path::new("-") || path.symlink_metadata().is_ok() {
        return Ok(());
    }
    let shown = crate::util::format::printable(&path.to_string_lossy(), 200);
    // A mistyped URL or a line of a configuration file may hold a password, and so may a bare word.
    let is_path = shown.contains(['.', '/']) && !shown.contains(['@', ':', '=', '\'', '"', ' ']);
    let command = nearest(&shown, ["preflight", "guide"]).filter(|_| !is_path);
    if let Some(command) = command {
        let failure = CliError::new(ErrorKind::Usage, "the source is neither a command nor a file");
        return Err(failure.hint(format!("did you mean capydb import {command}?")));
    }
    if !is_path && !shown.contains("://") {
        return Err(CliError::new(ErrorKind::Usage, "the source is neither a file nor a URL")
            .hint("a connection URL begins with postgres://, such as postgres://user:password@host:5432/database"));
    }
    if let Some((scheme, _)) = shown.split_once("://") {
        let is_source = scheme.starts_with("postgres");
        let hint = if is_source { "use --source-url for a connection URL" } else { "download the dump first" };
        return Err(CliError::new(ErrorKind::Usage, "a URL is not a file").hint(hint));
    }
    let failure = CliError::new(ErrorKind::NotFound, format!("no such file: {shown}"));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Err(match nearest(&name, entries(path).iter().map(String::as_str)) {
        Some(near) => failure.hint(format!("did you mean {}?", path.with_file_name(near).display())),
        None => failure.hint("a source is a dump file, or a URL such as postgres://user@host/database"),
    })
}

/// The names of the files beside a path.
fn entries(path: &Path) -> Vec<String> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten().take(10_000);
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Parses a URL that the control plane connects to. The provider's rules may change the URL, which
/// is reported, or reject it.
pub(super) fn resolve(text: &str, options: &SourceOptions, output: &Output) -> Result<SourceUrl, CliError> {
    let url = with_authorities(parse(text, SourceUrl::parse)?, options)?;
    let advice = providers::advise(&url);
    let (problem, fix) = (advice.problem().unwrap_or_default(), advice.fix().unwrap_or_default());
    let (url, change) = match advice {
        Advice::Rewrite(_, direct, _) if !options.no_rewrite => {
            (direct, Some(format!("using the direct endpoint: {problem}")))
        }
        Advice::Refuse(provider, _) => {
            let hint = format!("{fix}; see: capydb import guide {}", provider.id);
            return Err(CliError::new(ErrorKind::Conflict, problem).hint(hint));
        }
        Advice::Rewrite(..) | Advice::Fine => (url, None),
    };
    let (url, changes) = address_policy::normalized(url);
    report_changes(&url, change.into_iter().chain(changes.iter().map(ToString::to_string)), output);
    Ok(url)
}

/// Parses a URL that this machine connects to: sockets and private networks are allowed.
pub(super) fn resolve_local(text: &str, options: &SourceOptions, output: &Output) -> Result<SourceUrl, CliError> {
    let of_service = credentials::with_service(text).transpose().map_err(|name| {
        CliError::new(ErrorKind::Usage, format!("no service `{}` in a service file", name.escape_default()))
            .hint("set PGSERVICEFILE, or create ~/.pg_service.conf; or use a URL")
    })?;
    let url = parse(of_service.as_deref().unwrap_or(text), SourceUrl::parse_local)?;
    let url = with_authorities(url, options)?;
    let (url, password) = credentials::with_password(url);
    let found = match password {
        PasswordSource::Url => None,
        PasswordSource::Environment => Some("using the password in PGPASSWORD".to_owned()),
        PasswordSource::File(path) => Some(format!("using the password in {}", path.display())),
        PasswordSource::Exposed(path) => {
            Some(format!("ignoring {0}, which others may read: chmod 600 {0}", path.display()))
        }
    };
    let advice = providers::advise(&url);
    let problem = advice.problem().unwrap_or_default();
    let (url, change) = match advice {
        Advice::Rewrite(_, direct, Why::Pooled | Why::Pool) if !options.no_rewrite => {
            (direct, Some(format!("using the direct endpoint: {problem}")))
        }
        _ => (url, None),
    };
    let (url, changes) = address_policy::normalized(url);
    let changes = changes.iter().map(ToString::to_string);
    report_changes(&url, change.into_iter().chain(changes).chain(found), output);
    Ok(url)
}

/// Adds the certificate authorities of `--source-ca`.
fn with_authorities(url: SourceUrl, options: &SourceOptions) -> Result<SourceUrl, CliError> {
    let Some(path) = &options.source_ca else { return Ok(url) };
    check_exists(path)?;
    let shown = path.display();
    let pem = std::fs::read_to_string(path)
        .map_err(|error| CliError::new(ErrorKind::Error, format!("cannot read {shown}: {error}")))?;
    let url = (pem.len() <= MAX_AUTHORITIES).then(|| url.with_authorities(&pem)).flatten();
    url.ok_or_else(|| {
        CliError::new(ErrorKind::Usage, format!("{shown} has no valid certificate in PEM format"))
            .hint("expected a file that begins with -----BEGIN CERTIFICATE-----")
    })
}

/// Fails if the control plane would ignore the certificate authorities of a source.
pub(super) fn require_authorities_known(url: &SourceUrl, project: &Project) -> Result<(), CliError> {
    let supported = project.import_features.iter().any(|feature| feature == SOURCE_CA);
    if url.authorities().is_none() || supported {
        return Ok(());
    }
    Err(CliError::new(ErrorKind::Conflict, "the control plane does not support --source-ca")
        .hint("add --via-dump to dump on this machine; or use sslmode=require without --source-ca"))
}

fn report_changes(url: &SourceUrl, changes: impl Iterator<Item = String>, output: &Output) {
    output.note(&format!("Source: {url}"));
    for change in changes {
        output.note(&format!("  {change}"));
    }
}

fn parse(text: &str, parse: fn(&str) -> Result<SourceUrl, SourceUrlError>) -> Result<SourceUrl, CliError> {
    parse(text).map_err(|problem| match problem {
        SourceUrlError::Socket => CliError::new(ErrorKind::Conflict, "the source is a Unix socket on this machine")
            .hint("add --via-dump to dump here and upload the dump"),
        SourceUrlError::PrismaProxy => CliError::from(problem)
            .hint("use the direct TCP connection string of the Prisma console, postgres://…@db.prisma.io:5432/…"),
        SourceUrlError::Scheme(_) if text.starts_with("http://") || text.starts_with("https://") => {
            CliError::new(ErrorKind::Usage, "dumps cannot be imported from a web address")
                .hint("download the dump first, then: capydb import FILE")
        }
        other => CliError::from(other),
    })
}

/// The request for a preflight, with what this control plane knows beyond the API contract.
pub(super) fn preflight_request(
    url: &SourceUrl,
    project: &Project,
    recreate: Option<bool>,
    allow_empty: bool,
) -> PreflightRequest {
    let checks_target = project.import_features.iter().any(|feature| feature == CHECKS_TARGET);
    PreflightRequest {
        source_url: url.expose().to_owned(),
        recreate: recreate.filter(|_| checks_target),
        allow_empty: checks_target && allow_empty,
        source_ca: url.authorities().map(str::to_owned),
    }
}

/// The error of a preflight on the control plane, which cannot read the passwords of this machine.
pub(super) fn preflight_error(error: CallError, url: &SourceUrl) -> CliError {
    let is_about_source = error.status().is_some_and(|status| ![401, 403, 404, 429].contains(&status) && status < 500);
    let failure = CliError::from(error);
    if url.password().is_some() || !is_about_source {
        return failure;
    }
    failure.hint("add the password to the URL; PGPASSWORD and ~/.pgpass are read with --local and --via-dump only")
}

/// Checks whether the control plane can reach the source, as far as this machine can know. A local
/// control plane reaches the same hosts as this machine.
pub(super) async fn check_reachable(context: &Context<'_>, url: &SourceUrl) -> Result<(), Unreachable> {
    if context.api_is_local() { Ok(()) } else { address_policy::check_public(url).await }
}

/// The error for a source that the control plane cannot reach.
pub(super) fn unreachable_error(why: &Unreachable, url: &SourceUrl) -> CliError {
    let failure = CliError::new(ErrorKind::Conflict, format!("the control plane cannot reach the source: {why}"));
    let provider = providers::recognize(url.host());
    match (why, provider) {
        (Unreachable::Ipv6Only(_), Some(provider)) => failure.hint(format!(
            "find the IPv4 URL of {}: {}; or add --via-dump if this machine can reach the source",
            provider.name, provider.connection_string_help
        )),
        _ => failure.hint("add --via-dump to dump on this machine and upload the dump"),
    }
}
