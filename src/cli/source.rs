use super::args::{SOURCE_VARIABLE, SourceOptions};
use super::context::Context;
use super::prompt::one_line;
use super::{Failure, Kind, output::Output};
use crate::source::address_policy::{self, Unreachable};
use crate::source::providers::{self, Advice, Why};
use crate::source::{SourceUrl, SourceUrlError};
use std::path::PathBuf;

/// Longest URL that is read from standard input, in bytes.
const LONGEST_URL: u64 = 16 << 10;

/// Where the data is, as it was given.
pub(super) enum Given {
    Url(String),
    File(PathBuf),
}

/// The source from flags, standard input or the environment.
pub(super) fn given(options: &SourceOptions) -> Result<Given, Failure> {
    if let Some(path) = &options.file {
        return Ok(Given::File(path.clone()));
    }
    match &options.source_url {
        Some(dash) if dash == "-" => one_line("source URL", LONGEST_URL).map(Given::Url),
        Some(url) => Ok(Given::Url(url.clone())),
        None => match std::env::var(SOURCE_VARIABLE).ok().filter(|url| !url.trim().is_empty()) {
            Some(url) => Ok(Given::Url(url)),
            None => Err(Failure::new(Kind::Usage, "no source given")
                .hint(format!("use --source-url URL or --file PATH, or set {SOURCE_VARIABLE}"))),
        },
    }
}

/// The command that looks at the same source again.
pub(super) fn look_again(options: &SourceOptions) -> String {
    let flags = match (&options.file, &options.source_url) {
        (Some(path), _) => format!(" --file {}", path.display()),
        (None, Some(_)) => " --source-url …".to_owned(),
        (None, None) => String::new(),
    };
    format!("capydb import preflight{flags}")
}

/// Reads a URL that the service will dial: mended by the provider's rules, with what was
/// changed said, or refused.
pub(super) fn resolve(text: &str, no_rewrite: bool, output: &Output) -> Result<SourceUrl, Failure> {
    let url = parse(text, SourceUrl::parse)?;
    let (url, change) = match providers::advise(&url) {
        Advice::Rewrite(provider, mended, why) if !no_rewrite => {
            (mended, Some(format!("took the direct endpoint: the URL named {why} ({})", provider.name)))
        }
        Advice::Refuse(provider, why) => {
            return Err(Failure::new(Kind::Conflict, format!("this is {why} ({})", provider.name)).hint(format!(
                "the URL to use is here: {}; more: capydb import guide {}",
                provider.string, provider.id
            )));
        }
        Advice::Rewrite(..) | Advice::Fine => (url, None),
    };
    let (url, changes) = url.normalise();
    tell(&url, change.into_iter().chain(changes), output);
    Ok(url)
}

/// Reads a URL that this machine will dial: sockets and private networks are fine.
pub(super) fn resolve_here(text: &str, no_rewrite: bool, output: &Output) -> Result<SourceUrl, Failure> {
    let url = parse(text, SourceUrl::parse_here)?;
    let (url, change) = match providers::advise(&url) {
        Advice::Rewrite(provider, mended, why @ (Why::Pooled | Why::Pool)) if !no_rewrite => {
            (mended, Some(format!("took the direct endpoint: the URL named {why} ({})", provider.name)))
        }
        _ => (url, None),
    };
    let private = url.is_socket() || address_policy::is_private(&url);
    let (url, changes) = if private { url.normalise_here() } else { url.normalise() };
    tell(&url, change.into_iter().chain(changes), output);
    Ok(url)
}

fn tell(url: &SourceUrl, changes: impl Iterator<Item = String>, output: &Output) {
    output.note(&format!("Source: {url}"));
    for change in changes {
        output.note(&format!("  {change}"));
    }
}

fn parse(text: &str, parse: fn(&str) -> Result<SourceUrl, SourceUrlError>) -> Result<SourceUrl, Failure> {
    parse(text).map_err(|problem| match problem {
        SourceUrlError::Socket => Failure::new(Kind::Conflict, "the source is a Unix socket of this machine")
            .hint("add --via-dump: it dumps here and uploads the dump"),
        SourceUrlError::Scheme(ref scheme) if scheme.contains("prisma") => Failure::from(problem).hint(
            "that is the address of an HTTP proxy; take the direct TCP connection string (capydb import guide xata)",
        ),
        other => Failure::from(other),
    })
}

/// Whether the service can reach the source, as far as this machine can tell. A control plane
/// on this machine reaches what this machine reaches.
pub(super) async fn within_reach(context: &Context<'_>, url: &SourceUrl) -> Result<(), Unreachable> {
    if context.plane_is_here() { Ok(()) } else { address_policy::judge(url).await }
}

/// The error for a source that the service cannot reach.
pub(super) fn out_of_reach(why: &Unreachable, url: &SourceUrl) -> Failure {
    let failure = Failure::new(Kind::Conflict, format!("the service cannot reach the source: {why}"));
    let provider = providers::recognize(url.host());
    match (why, provider) {
        (Unreachable::Ipv6Only(_), Some(provider)) => failure.hint(format!(
            "{} has an address that works: {}; or add --via-dump, if this machine can reach it",
            provider.name, provider.string
        )),
        _ => failure.hint("add --via-dump: it dumps on this machine and uploads the dump"),
    }
}
