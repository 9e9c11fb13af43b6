//! Real Postgres servers and a real control plane, started once for a test program. They end
//! with it, however it ends: each waits for the end of a pipe that the program holds.

use super::{Ran, capydb, run};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where what was fetched is kept. Root's own folder would be closed to the user that Postgres
/// runs as.
pub fn cache() -> PathBuf {
    if fs::metadata("/proc/self").map(|about| std::os::unix::fs::MetadataExt::uid(&about)).ok() == Some(0) {
        return PathBuf::from("/var/cache/capydb");
    }
    let home = std::env::var("XDG_CACHE_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cache")));
    PathBuf::from(home.unwrap_or_default()).join("capydb")
}

/// Folder of the programs of a Postgres major, fetched when it is not there.
pub fn postgres(major: u32) -> PathBuf {
    static FOUND: [OnceLock<PathBuf>; 3] = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
    let place = [15, 17, 18].iter().position(|known| *known == major).expect("a major that tests use");
    FOUND[place]
        .get_or_init(|| {
            let output = Command::new("bash")
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/postgres/fetch-debian.sh"))
                .arg(major.to_string())
                .arg(cache().join(format!("postgres/{major}")))
                .stderr(Stdio::inherit())
                .output()
                .expect("bash runs");
            assert!(output.status.success(), "Postgres {major} could not be fetched");
            PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
        })
        .clone()
}

/// A folder of its own that other users may pass through. It goes with the next run.
pub fn open_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    if number == 0 {
        remove_folders_of_the_dead();
    }
    let folder = std::env::temp_dir().join(format!("{FOLDER}{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("opened");
    folder
}

const FOLDER: &str = "capydb-test-";

/// Removes what test programs that are over have left.
fn remove_folders_of_the_dead() {
    for entry in fs::read_dir(std::env::temp_dir()).expect("lists").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(FOLDER).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = fs::remove_dir_all(entry.path()); // somebody else's stays
        }
    }
}

/// A source server: superuser `owner`, password `source-secret`, TLS with a certificate that
/// nobody knows.
pub struct Source {
    pub port: u16,
    major: u32,
    folder: PathBuf,
    child: Child,
}

impl Source {
    pub fn start(major: u32, settings: &[&str]) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        Self::start_with(major, settings, &made.cert.pem(), &made.signing_key.serialize_pem())
    }

    /// One that shows this certificate.
    pub fn start_with(major: u32, settings: &[&str], certificate: &str, key: &str) -> Self {
        let folder = open_folder();
        fs::write(folder.join("server.crt"), certificate).expect("written");
        fs::write(folder.join("server.key"), key).expect("written");
        let mut child = Command::new("sh")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/source-server.sh"))
            .arg(postgres(major))
            .arg(&folder)
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let port = first_line(&mut child).trim().parse().expect("the server starts");
        Self { port, major, folder, child }
    }

    /// What the server has written down.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).expect("reads")
    }

    /// Changes who may come in, and how (`pg_hba.conf`); its superuser always may.
    pub fn replace_rules(&self, rules: &str) {
        fs::write(self.folder.join("data/pg_hba.conf"), rules).expect("written");
        psql(&format!("{}?sslmode=disable", self.url("postgres")), "select pg_reload_conf()");
    }

    /// The URL of one of its databases; TLS is left open.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://owner:source-secret@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes a database and runs SQL in it.
    pub fn create(&self, database: &str, sql: &str) -> String {
        psql(&self.url("postgres"), &format!("create database {database} template template0"));
        psql(&self.url(database), sql);
        self.url(database)
    }

    /// Dumps one of its databases into a file with its own pg_dump.
    pub fn dump(&self, database: &str, format: &str, into: &Path) {
        let output = Command::new(postgres(self.major).join("pg_dump"))
            .arg(format!("--format={format}"))
            .arg("--file")
            .arg(into)
            .arg(self.url(database))
            .output()
            .expect("pg_dump runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    line
}

/// Runs SQL and gives its rows, one a line.
#[track_caller]
pub fn psql(url: &str, sql: &str) -> String {
    let ran = try_psql(url, sql);
    assert_eq!(ran.code, 0, "{sql}: {ran:#?}");
    ran.stdout.trim_end().to_owned()
}

pub fn try_psql(url: &str, sql: &str) -> Ran {
    use std::io::Write;
    let mut child = Command::new(postgres(17).join("psql"))
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", url])
        .env("PGOPTIONS", "-c client_min_messages=warning")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql runs");
    child.stdin.take().expect("a pipe").write_all(sql.as_bytes()).expect("written");
    Ran::of(&child.wait_with_output().expect("psql ends"))
}

/// Runs SQL as one message, which psql does not read.
pub fn run_sql(url: &str, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("connects");
        tokio::spawn(connection);
        client.batch_execute(sql).await.expect("runs");
    });
}

/// SQL of a table whose rows are not let in while the server has a role of this name. So a test
/// looks at an import, or kills it, in the middle of its load, however fast the machine is.
pub fn held_by(name: &str) -> String {
    format!(
        "create function wait_for_{name}(int) returns bool language plpgsql as $$ begin
             while exists (select from pg_roles where rolname = '{name}') loop perform pg_sleep(0.02); end loop;
             return true;
         end $$;
         create table held_by_{name} (n int check (wait_for_{name}(n)));
         insert into held_by_{name} values (1);"
    )
}

/// Everything that a database holds, line by line.
#[track_caller]
pub fn fingerprint(url: &str) -> String {
    psql(url, include_str!("fingerprint.sql"))
}

/// The sample database of the project.
pub const SAMPLE: &str = include_str!("../../demo/sample.sql");

/// A running `capydb dev`.
pub struct ControlPlane {
    pub api_url: String,
    pub api_key: String,
    /// Where its data lives.
    pub data_dir: PathBuf,
    child: Child,
}

impl ControlPlane {
    pub fn start(options: &[&str]) -> Self {
        let folder = open_folder();
        Self::start_with(options, &[], &folder.join("data"))
    }

    /// The same with variables of its environment, in this folder.
    pub fn start_with(options: &[&str], variables: &[(&str, &str)], data_dir: &Path) -> Self {
        let mut command = capydb(&["dev", "--data-dir"]);
        command.arg(data_dir).args(["--port", "0", "--postgres-bin"]).arg(postgres(17)).args(options);
        command.envs(variables.iter().copied());
        Self::spawn(command, data_dir.to_owned())
    }

    /// One that does not wait for the disk, and whose data goes with it.
    pub fn throw_away() -> Self {
        Self::throw_away_with(&[])
    }

    pub fn throw_away_with(options: &[&str]) -> Self {
        let folder = open_folder();
        let mut command = capydb(&["dev", "--ephemeral", "--postgres-bin"]);
        command.arg(postgres(17)).args(options).env("TMPDIR", &folder);
        let mut control_plane = Self::spawn(command, folder.clone());
        control_plane.data_dir = fs::read_dir(folder).expect("lists").flatten().next().expect("its data").path();
        control_plane
    }

    /// Starts again on the data of one that has ended.
    pub fn start_again(data_dir: &Path) -> Self {
        Self::start_with(&[], &[], data_dir)
    }

    fn spawn(mut command: Command, data_dir: PathBuf) -> Self {
        command.args(["--", "sh", "-c", "echo $CAPYDB_API_URL $CAPYDB_API_KEY; exec cat"]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("capydb runs");
        let line = first_line(&mut child);
        let (api_url, api_key) = line.trim().split_once(' ').expect("the control plane starts");
        Self { api_url: api_url.into(), api_key: api_key.into(), data_dir, child }
    }

    /// The process of the control plane.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Host and port of its API.
    pub fn address(&self) -> String {
        self.api_url.trim_start_matches("http://").split('/').next().expect("an address").to_owned()
    }

    /// Whether the control plane runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) -> PathBuf {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
        self.data_dir.clone()
    }

    /// A command against this control plane.
    pub fn capydb(&self, arguments: &[&str]) -> Command {
        let mut command = capydb(arguments);
        command.env("CAPYDB_API_URL", &self.api_url).env("CAPYDB_API_KEY", &self.api_key);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        run(self.capydb(arguments))
    }

    /// A call of the API: status and answer.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        call(method, &format!("{}{path}", self.api_url), &self.api_key, body)
    }

    /// A new project of its own for a test.
    pub fn project(&self, name: &str) -> Project<'_> {
        let (status, answer) = self.call("POST", "/v1/projects", Some(&json!({ "name": name })));
        assert_eq!(status, 202, "{answer}");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let job = text(&answer["job"]["id"]);
        self.run(&["jobs", "wait", &job]).succeeds();
        let id = text(&answer["project"]["id"]);
        let (_, connections) = self.call("GET", &format!("/v1/projects/{id}/connections"), None);
        Project {
            control_plane: self,
            slug: text(&answer["project"]["slug"]),
            url: text(&connections["connections"]["direct_url"]),
            id,
        }
    }

    /// Runs SQL as administrator in one of its databases.
    pub fn admin(&self, database: &str, sql: &str) -> String {
        let kept = fs::read_to_string(self.data_dir.join("secrets.json")).expect("reads");
        let kept: Value = serde_json::from_str(&kept).expect("JSON");
        let (password, port) = (kept["admin_password"].as_str().expect("a password"), &kept["postgres_port"]);
        psql(&format!("postgres://capydb:{password}@127.0.0.1:{port}/{database}"), sql)
    }

    /// Imports of what [`held_by`] this name is in wait until [`ControlPlane::let_go`].
    pub fn hold(&self, name: &str) {
        self.admin("postgres", &format!("create role {name}"));
    }

    pub fn let_go(&self, name: &str) {
        self.admin("postgres", &format!("drop role {name}"));
    }

    /// Nothing that belongs to an import may stay when it is over.
    #[track_caller]
    pub fn has_no_leftovers(&self) {
        let left = "select datname from pg_database where datname like 'capydb\\_%'";
        super::until("its databases are gone", || self.admin("postgres", left).is_empty());
        let work = self.data_dir.join("work");
        super::until("its work folders are gone", || fs::read_dir(&work).expect("lists").count() == 0);
        assert_eq!(
            self.admin(
                "capydb",
                "select count(*) from jobs where state in ('completed', 'failed') and secret is not null"
            ),
            "0"
        );
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

pub fn call(method: &str, url: &str, key: &str, body: Option<&Value>) -> (u16, Value) {
    ask(method, url, |request| {
        let request = request.bearer_auth(key);
        if let Some(body) = body { request.json(body) } else { request }
    })
}

/// Puts bytes to a presigned URL.
pub fn put(url: &str, bytes: Vec<u8>) -> (u16, Value) {
    ask("PUT", url, |request| request.body(bytes))
}

/// Any call: status and answer, which need not be JSON.
pub fn ask(
    method: &str,
    url: &str,
    with: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
) -> (u16, Value) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = with(client.request(method.parse().expect("a method"), url));
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    })
}

pub struct Project<'a> {
    control_plane: &'a ControlPlane,
    pub id: String,
    pub slug: String,
    /// Connects as the project's role.
    pub url: String,
}

impl Project<'_> {
    /// `capydb import … --project THIS`.
    pub fn import(&self, arguments: &[&str]) -> Ran {
        self.control_plane.run(&[&["import", "--project", &self.slug], arguments].concat())
    }

    /// Starts an import by the API alone and gives the job when it is over.
    pub fn import_by_api(&self, body: &Value) -> Value {
        let (status, answer) =
            self.control_plane.call("POST", &format!("/v1/projects/{}/imports", self.id), Some(body));
        assert_eq!(status, 202, "{answer}");
        let path = format!("/v1/jobs/{}", answer["job"]["id"].as_str().expect("an id"));
        let mut job = Value::Null;
        super::until("the job is over", || {
            // Tests share a key, and a key may only make so many calls.
            std::thread::sleep(std::time::Duration::from_millis(80));
            job = self.control_plane.call("GET", &path, None).1["job"].clone();
            job["state"] == "completed" || job["state"] == "failed"
        });
        job
    }

    /// Uploads a file and imports it by the API alone, as a client that looks at nothing would.
    pub fn import_unseen(&self, file: &Path, recreate: bool) -> Value {
        let path = format!("/v1/projects/{}/imports/uploads", self.id);
        let (_, slot) = self.control_plane.call("POST", &path, None);
        let (url, key) = (slot["upload"]["upload_url"].as_str().expect("a URL"), &slot["upload"]["object_key"]);
        let (status, answer) = put(url, fs::read(file).expect("reads"));
        assert_eq!(status, 200, "{answer}");
        self.import_by_api(&json!({ "confirm": true, "recreate": recreate, "upload_key": key }))
    }

    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        psql(&self.url, sql)
    }
}

/// The control plane that most tests share.
pub fn control_plane() -> &'static ControlPlane {
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    PLANE.get_or_init(ControlPlane::throw_away)
}

/// The Postgres 15 source that most tests share; it has the sample database.
pub fn source() -> &'static Source {
    static SOURCE: OnceLock<Source> = OnceLock::new();
    SOURCE.get_or_init(|| {
        let source = Source::start(15, &[]);
        source.create("sample", SAMPLE);
        source
    })
}
