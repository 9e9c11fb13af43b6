//! The settings of a command, resolved from flags, environment, link and login.

use super::args::Global;
use super::output::Output;
use super::output::report::label;
use super::prompt::{ask, is_interactive, read_secret_line};
use super::{CliError, ErrorKind};
use crate::client::Api;
use crate::config::{self, DASHBOARD_URL, DEFAULT_API_URL, ENV_API_KEY, ENV_API_URL, ENV_APP_URL, LinkedProject};
use crate::util::format::printable;
use crate::util::net::is_loopback_url;
use crate::util::suggest::nearest;
use crate::wire::Project;
use secrecy::{ExposeSecret, SecretString};
use std::cell::Cell;
use url::Url;

/// All settings of a command, resolved once.
pub(super) struct Context<'a> {
    pub(super) output: &'a Output,
    /// Only the directory's link names the control plane, and the user has not named it before:
    /// neither a key nor a source URL is sent to it.
    untrusted_server: bool,
    pub(super) api_url: Url,
    /// Origin of `api_url`, for display.
    pub(super) api_url_from: &'static str,
    pub(super) api_key: Option<SecretString>,
    /// Origin of `api_key`, for display.
    pub(super) api_key_from: &'static str,
    pub(super) link: Option<LinkedProject>,
    /// The API URL of the directory's link, if it differs from `api_url`.
    unused_link: Option<String>,
    /// The control plane's dashboard.
    pub(super) app_url: Url,
    /// Origin of `app_url`, for display.
    pub(super) app_url_from: &'static str,
    /// The use of a running `capydb dev` was reported.
    says_dev: Cell<bool>,
}

/// The origin of settings that a running `capydb dev` gives.
const RUNNING_DEV: &str = "capydb dev";

/// The project of a command that names none.
pub(super) enum DefaultProject {
    /// The linked or only project.
    Found(Box<Project>),
    /// There is no project yet.
    None,
    /// There are this many, and none is linked.
    Several(usize),
}

const NOT_SET: &str = "not set";

/// The first value that is set, with its origin.
fn first<T>(values: impl IntoIterator<Item = (Option<T>, &'static str)>) -> (Option<T>, &'static str) {
    let found = values.into_iter().find_map(|(value, from)| Some((value?, from)));
    found.map_or((None, NOT_SET), |(value, from)| (Some(value), from))
}

impl<'a> Context<'a> {
    /// Resolves the settings. Precedence: flags, environment, linked project, saved login.
    pub(super) fn resolve(global: &Global, output: &'a Output) -> Result<Self, CliError> {
        Self::resolve_with(global, output, true)
    }

    /// Like [`Context::resolve`], but ignores the directory's link. For a login: a cloned
    /// directory's link may name a server that the user did not choose.
    pub(super) fn resolve_unlinked(global: &Global, output: &'a Output) -> Result<Self, CliError> {
        Self::resolve_with(global, output, false)
    }

    fn resolve_with(global: &Global, output: &'a Output, linked: bool) -> Result<Self, CliError> {
        let here = std::env::current_dir().map_err(anyhow::Error::from)?;
        let link = if linked { config::linked_project(&here) } else { Ok(None) };
        let link = link.map_err(|error| CliError::from(error).hint("delete the link with: capydb unlink"))?;
        let set = |text: &String| !text.trim().is_empty();
        let variable = |name: &str| std::env::var(name).ok().filter(set);
        let given_url =
            first([(global.api_url.clone().filter(set), "--api-url"), (variable(ENV_API_URL), ENV_API_URL)]);
        let given_key = first([(key_flag(global)?, "--api-key"), (variable(ENV_API_KEY), ENV_API_KEY)]);
        // An unreadable login file must not matter when no value comes from it.
        let login = match config::login_path() {
            Some(path) if given_url.0.is_none() || given_key.0.is_none() => {
                config::saved_login(&path).map_err(|error| {
                    CliError::from(error).hint(format!("fix or delete {}, then run: capydb login", path.display()))
                })?
            }
            _ => None,
        };
        let has_key = given_key.0.is_some() || login.as_ref().is_some_and(|login| login.api_key.is_some());
        let dev = if has_key { None } else { config::running_dev() };
        let dev_url = dev.as_ref().map(|dev| dev.api_url.clone());
        let linked_url = link.as_ref().map(|link| link.api_url.clone()).filter(set);
        let login_url = login.as_ref().and_then(|login| login.api_url.clone());
        let login_origin = parse_api_url(login_url.as_deref().unwrap_or(DEFAULT_API_URL))?.origin();
        let by_link = given_url.0.is_none() && linked_url.is_some();
        let (api_url, api_url_from) = first([
            given_url,
            (linked_url.clone(), "the linked project"),
            (login_url, "the saved login"),
            (dev_url, RUNNING_DEV),
            (Some(DEFAULT_API_URL.to_owned()), "the default"),
        ]);
        let api_url = parse_api_url(api_url.as_deref().map_or(DEFAULT_API_URL, str::trim))?;
        // The link of a cloned directory is untrusted: it must not send the saved key to another
        // server.
        let foreign = by_link && api_url.origin() != login_origin;
        let hosted = parse_api_url(DEFAULT_API_URL)?.origin() == api_url.origin();
        let untrusted_server = foreign && !hosted && !is_loopback_url(&api_url);
        let saved_key = login.as_ref().filter(|_| !foreign).and_then(|login| login.api_key.clone());
        let dev_key =
            dev.filter(|dev| parse_api_url(&dev.api_url).is_ok_and(|url| url == api_url)).map(|dev| dev.api_key);
        let given_key = (given_key.0.map(|key| SecretString::from(key.trim())), given_key.1);
        let (api_key, api_key_from) = first([given_key, (saved_key, "the saved login"), (dev_key, RUNNING_DEV)]);
        // A link applies only to projects of its own control plane.
        let elsewhere = |linked: &String| parse_api_url(linked.trim()).map_or(true, |url| url != api_url);
        let unused_link = linked_url.clone().filter(elsewhere);
        let link = link.filter(|_| unused_link.is_none());
        let saved_app = login.filter(|_| api_url.origin() == login_origin).and_then(|login| login.app_url);
        let (app, app_url_from) = first([(variable(ENV_APP_URL), ENV_APP_URL), (saved_app, "the saved login")]);
        let app_url_from = if app.is_some() { app_url_from } else { "the address of the API" };
        let app_url = app_url(&api_url, app)?;
        Ok(Self {
            output,
            untrusted_server,
            api_url,
            api_url_from,
            api_key,
            api_key_from,
            link,
            unused_link,
            app_url,
            app_url_from,
            says_dev: Cell::new(false),
        })
    }

    /// An API client with the key. Fails without a key, or if only the link names the server.
    pub(super) fn api(&self) -> Result<Api, CliError> {
        self.check_server_trusted()?;
        let Some(key) = &self.api_key else {
            return Err(CliError::new(ErrorKind::Auth, "no API key").hint(self.key_hint()));
        };
        check_key(key)?;
        if self.api_key_from == RUNNING_DEV && !self.says_dev.replace(true) {
            self.output.note(&format!("Using capydb dev at {}", self.api_url));
        }
        Ok(Api::new(self.api_url.clone(), Some(key.clone()))?)
    }

    /// Where a key for the control plane in use comes from.
    fn key_hint(&self) -> String {
        let set = "set CAPYDB_API_KEY to a key from";
        if self.api_is_local() {
            return "start capydb dev, whose key is found; or set CAPYDB_API_KEY, or run capydb login".to_owned();
        }
        if !self.api_is_hosted() {
            return format!("run capydb login, or {set} {} (capydb server new-key)", self.api_url);
        }
        format!("run capydb login, or {set} {DASHBOARD_URL}; for a control plane on this machine: capydb dev")
    }

    /// Whether the control plane is the hosted service.
    fn api_is_hosted(&self) -> bool {
        parse_api_url(DEFAULT_API_URL).is_ok_and(|hosted| hosted.origin() == self.api_url.origin())
    }

    /// An API client without a key.
    pub(super) fn anonymous(&self) -> Result<Api, CliError> {
        self.check_server_trusted()?;
        Ok(Api::new(self.api_url.clone(), None)?)
    }

    fn check_server_trusted(&self) -> Result<(), CliError> {
        if !self.untrusted_server {
            return Ok(());
        }
        let what =
            format!("this directory is linked to a control plane that you have not used before: {}", self.api_url);
        Err(CliError::new(ErrorKind::Conflict, what)
            .hint("if you trust it with your key, set --api-url or CAPYDB_API_URL; otherwise run capydb unlink"))
    }

    /// Whether the control plane runs on this machine.
    pub(super) fn api_is_local(&self) -> bool {
        is_loopback_url(&self.api_url)
    }

    /// The project to link to: the named one, the only one, or the user's choice.
    pub(super) async fn project_to_link(&self, api: &Api, wanted: Option<&str>) -> Result<Project, CliError> {
        match wanted {
            Some(wanted) => find_project(&api.projects().await?, wanted),
            None => self.only_project(api).await,
        }
    }

    /// The linked or only project, without a prompt.
    pub(super) async fn default_project(&self, api: &Api) -> Result<DefaultProject, CliError> {
        if let Some(link) = &self.link {
            return Ok(DefaultProject::Found(Box::new(api.project(&link.project_id).await?)));
        }
        let mut projects = api.projects().await?;
        Ok(match projects.len() {
            0 => DefaultProject::None,
            1 => DefaultProject::Found(Box::new(projects.swap_remove(0))),
            several => DefaultProject::Several(several),
        })
    }

    /// The named project, the linked one, the only one, or the user's choice.
    pub(super) async fn project(&self, api: &Api, wanted: Option<&str>) -> Result<Project, CliError> {
        if let Some(wanted) = wanted {
            if wanted.trim().is_empty() {
                return Err(CliError::new(ErrorKind::Usage, "--project is empty"));
            }
            return find_project(&api.projects().await?, wanted);
        }
        if let Some(link) = &self.link {
            return api.project(&link.project_id).await.map_err(|error| {
                let failure = CliError::from(error);
                if failure.kind != ErrorKind::NotFound {
                    return failure;
                }
                failure.hint(format!(
                    "this directory is linked to project {} (.capydb/project.json); choose another with --project",
                    if link.project_slug.is_empty() { &link.project_id } else { &link.project_slug }
                ))
            });
        }
        if let Some(url) = &self.unused_link {
            let linked = printable(url, 200);
            let what =
                format!("this directory is linked to a project of {linked}, but the server in use is {}", self.api_url);
            return Err(CliError::new(ErrorKind::Conflict, what).hint("choose a project with --project or capydb link"));
        }
        self.only_project(api).await
    }

    async fn only_project(&self, api: &Api) -> Result<Project, CliError> {
        let mut projects = api.projects().await?;
        match projects.len() {
            0 => Err(CliError::new(ErrorKind::NotFound, "the organization has no project")
                .hint("create a project first: capydb projects create NAME")),
            1 => Ok(projects.swap_remove(0)),
            _ if is_interactive() => choose(self.output, projects).await,
            _ => Err(CliError::new(ErrorKind::Usage, "no project chosen: the organization has several")
                .hint(format!("choose a project with --project: {}", list(&projects)))),
        }
    }
}

/// Rejects a key that is not a valid HTTP header value.
pub(super) fn check_key(key: &SecretString) -> Result<(), CliError> {
    let key = key.expose_secret();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CliError::new(ErrorKind::Auth, "the API key contains characters not allowed in a key"));
    }
    Ok(())
}

/// The key of `--api-key`; `-` reads standard input.
fn key_flag(global: &Global) -> Result<Option<String>, CliError> {
    match global.api_key.as_deref().map(str::trim) {
        None => Ok(None),
        Some("") => Err(CliError::new(ErrorKind::Usage, "--api-key is empty")),
        Some("-") => read_secret_line("API key", MAX_KEY).map(Some),
        Some(key) => Ok(Some(key.to_owned())),
    }
}

/// Maximum length of a key, in bytes.
pub(super) const MAX_KEY: u64 = 4096;

/// The dashboard URL: as set, else the root of the API's server.
fn app_url(api_url: &Url, set: Option<String>) -> Result<Url, CliError> {
    let bad = || {
        CliError::new(ErrorKind::Usage, "the dashboard URL is not an http or https URL")
            .hint("expected a URL such as https://capydb.dev (CAPYDB_APP_URL)")
    };
    let url = if let Some(text) = set {
        Url::parse(text.trim()).map_err(|_| bad())?
    } else {
        let mut url = api_url.clone();
        url.set_path("/");
        url
    };
    if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(url) } else { Err(bad()) }
}

/// The path of the API on every control plane.
const API_PATH: &str = "/api/capydb";

fn parse_api_url(text: &str) -> Result<Url, CliError> {
    let bad = || {
        CliError::new(ErrorKind::Usage, "the API URL is not an http or https URL")
            .hint("expected a URL such as https://capydb.dev/api/capydb (--api-url, CAPYDB_API_URL)")
    };
    let mut url = Url::parse(text).map_err(|_| bad())?;
    if !matches!(url.scheme(), "http" | "https")
        || !url.has_host()
        || !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
    {
        return Err(bad());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    // The address of the server alone means its API.
    url.set_path(if path.is_empty() { API_PATH } else { &path });
    Ok(url)
}

fn find_project(projects: &[Project], wanted: &str) -> Result<Project, CliError> {
    if let Some(project) = projects.iter().find(|project| project.id == wanted) {
        return Ok(project.clone());
    }
    let lower = wanted.to_lowercase();
    let by_slug = projects.iter().find(|project| project.slug.to_lowercase() == lower);
    if let Some(project) = by_slug {
        return Ok(project.clone());
    }
    let mut by_name = projects.iter().filter(|project| project.name.to_lowercase() == lower);
    match (by_name.next(), by_name.next()) {
        (Some(project), None) => Ok(project.clone()),
        (Some(_), Some(_)) => Err(CliError::new(ErrorKind::Usage, format!("several projects are named {wanted}"))
            .hint(format!("use the slug: {}", list(projects)))),
        (None, _) => {
            let failure = CliError::new(ErrorKind::NotFound, format!("project not found: {wanted}"));
            Err(match nearest(&lower, projects.iter().map(label)) {
                _ if projects.is_empty() => failure,
                Some(near) => failure.hint(format!("did you mean {near}? projects: {}", list(projects))),
                None => failure.hint(format!("projects: {}", list(projects))),
            })
        }
    }
}

fn list(projects: &[Project]) -> String {
    let shown: Vec<String> = projects.iter().take(20).map(|project| printable(label(project), 60)).collect();
    let more = if projects.len() > 20 { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

async fn choose(output: &Output, mut projects: Vec<Project>) -> Result<Project, CliError> {
    let lines =
        projects.iter().enumerate().map(|(at, project)| format!("  {}  {}\n", at + 1, printable(label(project), 60)));
    let question = format!("Choose a project:\n{}Number: ", lines.collect::<String>());
    let answer: usize = ask(output, &question).await?.parse().unwrap_or(0);
    if answer == 0 || answer > projects.len() {
        return Err(
            CliError::new(ErrorKind::Usage, "invalid choice of project").hint("choose a project with --project")
        );
    }
    Ok(projects.swap_remove(answer - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(id: &str, slug: &str, name: &str) -> Project {
        Project { id: id.into(), slug: slug.into(), name: name.into(), ..Project::default() }
    }

    #[test]
    fn a_project_is_found_by_id_slug_or_name() {
        let all =
            || vec![project("1", "shop", "The Shop"), project("2", "blog", "Blog"), project("3", "blog-2", "Blog")];
        assert_eq!(find_project(&all(), "2").expect("a project with this ID").slug, "blog");
        assert_eq!(find_project(&all(), "SHOP").expect("a project with this slug").id, "1");
        assert_eq!(find_project(&all(), "the shop").expect("a project with this name").id, "1");
        assert_eq!(find_project(&all(), "nope").expect_err("no such project").kind, ErrorKind::NotFound);
        let hint = |name: &str| find_project(&all(), name).expect_err("no such project").hint.expect("a hint");
        assert_eq!(hint("shpo"), "did you mean shop? projects: shop, blog, blog-2");
        assert_eq!(hint("nothing"), "projects: shop, blog, blog-2");
        let same_name = vec![project("2", "b1", "Blog"), project("3", "b2", "Blog")];
        assert_eq!(find_project(&same_name, "blog").expect_err("an ambiguous name").kind, ErrorKind::Usage);
    }

    #[test]
    fn an_api_url_must_be_valid() {
        assert_eq!(
            parse_api_url("http://127.0.0.1:1/api/capydb/").expect("a valid URL").as_str(),
            "http://127.0.0.1:1/api/capydb"
        );
        let completed = parse_api_url("http://127.0.0.1:1").expect("a valid URL");
        assert_eq!(completed.as_str(), "http://127.0.0.1:1/api/capydb");
        for text in ["capydb.dev", "ftp://x/", "https://u:p@x/", "http://x/?a=b", ""] {
            assert!(parse_api_url(text).is_err(), "{text}");
        }
    }
}
