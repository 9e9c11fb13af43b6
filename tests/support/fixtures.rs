//! Real Postgres servers and a real control plane, started once per test binary. Each stops when
//! a pipe from the test binary closes, so none outlives it.

use super::{Ran, capydb, run};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The directory for downloads. Not below root's home directory, which the user that Postgres
/// runs as cannot read.
pub fn cache_dir() -> PathBuf {
    if fs::metadata("/proc/self").map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata)).ok() == Some(0) {
        return PathBuf::from("/var/cache/capydb");
    }
    let home = std::env::var("XDG_CACHE_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cache")));
    PathBuf::from(home.unwrap_or_default()).join("capydb")
}

/// The program directory of a Postgres major version, which is downloaded if it is missing.
pub fn postgres(major: u32) -> PathBuf {
    static BIN_DIRS: [OnceLock<PathBuf>; 3] = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
    let index = [15, 17, 18].iter().position(|known| *known == major).expect("version 15, 17 or 18");
    BIN_DIRS[index]
        .get_or_init(|| {
            let output = Command::new("bash")
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/postgres/fetch-debian.sh"))
                .arg(major.to_string())
                .arg(cache_dir().join(format!("postgres/{major}")))
                .stderr(Stdio::inherit())
                .output()
                .expect("run bash");
            assert!(output.status.success(), "cannot download Postgres {major}");
            PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
        })
        .clone()
}

/// Creates a temporary directory that other users can read. A later run removes it.
pub fn test_dir() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    if number == 0 {
        remove_stale_dirs();
    }
    let dir = std::env::temp_dir().join(format!("{DIR_PREFIX}{}-{number}", std::process::id()));
    fs::create_dir_all(&dir).expect("create directory");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("set permissions");
    dir
}

const DIR_PREFIX: &str = "capydb-test-";

/// Removes the directories of test processes that have ended.
fn remove_stale_dirs() {
    for entry in fs::read_dir(std::env::temp_dir()).expect("list directory").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(DIR_PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = fs::remove_dir_all(entry.path()); // fails for directories of other users
        }
    }
}

/// A source server with the superuser `owner`, password `source-secret`, and TLS with an
/// untrusted certificate.
pub struct Source {
    pub port: u16,
    major: u32,
    dir: PathBuf,
    child: Child,
}

impl Source {
    pub fn start(major: u32, settings: &[&str]) -> Self {
        let generated = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("create certificate");
        Self::start_with(major, settings, &generated.cert.pem(), &generated.signing_key.serialize_pem())
    }

    /// Starts a server with this certificate.
    pub fn start_with(major: u32, settings: &[&str], certificate: &str, key: &str) -> Self {
        let dir = test_dir();
        fs::write(dir.join("server.crt"), certificate).expect("write file");
        fs::write(dir.join("server.key"), key).expect("write file");
        Self::spawn(major, settings, dir, None)
    }

    /// Starts a hot standby of this server.
    pub fn standby(&self) -> Self {
        Self::spawn(self.major, &[], test_dir(), Some(self.port))
    }

    fn spawn(major: u32, settings: &[&str], dir: PathBuf, primary: Option<u16>) -> Self {
        let mut child = Command::new("sh")
            .envs(primary.map(|port| ("STANDBY_OF", port.to_string())))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/source-server.sh"))
            .arg(postgres(major))
            .arg(&dir)
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("spawn sh");
        let port = first_line(&mut child).trim().parse().expect("the server starts and prints its port");
        Self { port, major, dir, child }
    }

    /// The server log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).expect("read file")
    }

    /// Replaces `pg_hba.conf`, and reloads the configuration as the superuser.
    pub fn set_hba_rules(&self, rules: &str) {
        fs::write(self.dir.join("data/pg_hba.conf"), rules).expect("write file");
        psql(&format!("{}?sslmode=disable", self.url("postgres")), "select pg_reload_conf()");
    }

    /// The URL of a database, without `sslmode`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://owner:source-secret@127.0.0.1:{}/{database}", self.port)
    }

    /// Creates a database, runs SQL in it and returns its URL.
    pub fn create(&self, database: &str, sql: &str) -> String {
        psql(&self.url("postgres"), &format!("create database {database} template template0"));
        psql(&self.url(database), sql);
        self.url(database)
    }

    /// Dumps a database into a file with `pg_dump` of the server's version.
    pub fn dump(&self, database: &str, format: &str, file: &Path) {
        let output = Command::new(postgres(self.major).join("pg_dump"))
            .arg(format!("--format={format}"))
            .arg("--file")
            .arg(file)
            .arg(self.url(database))
            .output()
            .expect("run pg_dump");
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
    BufReader::new(child.stdout.take().expect("piped stdout")).read_line(&mut line).expect("read line");
    line
}

/// Runs SQL and returns the rows, one per line.
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
        .expect("spawn psql");
    child.stdin.take().expect("piped stdin").write_all(sql.as_bytes()).expect("write to stdin");
    Ran::of(&child.wait_with_output().expect("wait for psql"))
}

/// Sends SQL as one query message, without psql, which would interpret backslash commands.
pub fn run_sql(url: &str, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("build runtime");
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("connect");
        tokio::spawn(connection);
        client.batch_execute(sql).await.expect("run SQL");
    });
}

/// SQL for a table whose rows cannot be loaded while a role of this name exists on the server. A
/// test can thus inspect or kill an import during its load phase, however fast the machine is.
pub fn held_table(name: &str) -> String {
    format!(
        "create function wait_for_{name}(int) returns bool language plpgsql as $$ begin
             while exists (select from pg_roles where rolname = '{name}') loop perform pg_sleep(0.02); end loop;
             return true;
         end $$;
         create table held_by_{name} (n int check (wait_for_{name}(n)));
         insert into held_by_{name} values (1);"
    )
}

/// The contents of a database as sorted lines; see `fingerprint.sql`.
#[track_caller]
pub fn fingerprint(url: &str) -> String {
    psql(url, include_str!("fingerprint.sql"))
}

/// SQL for the sample database of the demo.
pub const SAMPLE: &str = include_str!("../../demo/sample.sql");

/// A running `capydb dev`.
pub struct ControlPlane {
    pub api_url: String,
    pub api_key: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    child: Child,
}

impl ControlPlane {
    pub fn start(options: &[&str]) -> Self {
        Self::start_with(options, &[], &test_dir().join("data"))
    }

    /// Starts a control plane with these environment variables and this data directory.
    pub fn start_with(options: &[&str], variables: &[(&str, &str)], data_dir: &Path) -> Self {
        let mut command = capydb(&["dev", "--data-dir"]);
        command.arg(data_dir).args(["--port", "0", "--postgres-bin"]).arg(postgres(17)).args(options);
        command.envs(variables.iter().copied());
        Self::spawn(command, data_dir.to_owned())
    }

    /// Starts a control plane that does not sync to disk and removes its data when it stops.
    pub fn ephemeral() -> Self {
        Self::ephemeral_with(&[])
    }

    pub fn ephemeral_with(options: &[&str]) -> Self {
        let dir = test_dir();
        let mut command = capydb(&["dev", "--ephemeral", "--postgres-bin"]);
        command.arg(postgres(17)).args(options).env("TMPDIR", &dir);
        let mut control_plane = Self::spawn(command, dir.clone());
        control_plane.data_dir =
            fs::read_dir(dir).expect("list directory").flatten().next().expect("data directory").path();
        control_plane
    }

    /// Starts a control plane on the data of a stopped one.
    pub fn restart(data_dir: &Path) -> Self {
        Self::start_with(&[], &[], data_dir)
    }

    fn spawn(mut command: Command, data_dir: PathBuf) -> Self {
        command.args(["--", "sh", "-c", "echo $CAPYDB_API_URL $CAPYDB_API_KEY; exec cat"]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("spawn capydb");
        let line = first_line(&mut child);
        let (api_url, api_key) =
            line.trim().split_once(' ').expect("the control plane starts and prints its URL and key");
        Self { api_url: api_url.into(), api_key: api_key.into(), data_dir, child }
    }

    /// The process ID of the control plane.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Host and port of its API.
    pub fn address(&self) -> String {
        self.api_url.trim_start_matches("http://").split('/').next().expect("address").to_owned()
    }

    /// Whether the process is running.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the process with `SIGKILL` and returns the data directory.
    pub fn kill(mut self) -> PathBuf {
        self.child.kill().expect("kill process");
        self.child.wait().expect("wait for process");
        self.data_dir.clone()
    }

    /// A `capydb` command that uses this control plane.
    pub fn capydb(&self, arguments: &[&str]) -> Command {
        let mut command = capydb(arguments);
        command.env("CAPYDB_API_URL", &self.api_url).env("CAPYDB_API_KEY", &self.api_key);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        run(self.capydb(arguments))
    }

    /// Calls the API; returns the status and the response.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        call(method, &format!("{}{path}", self.api_url), &self.api_key, body)
    }

    /// Creates a project and waits until it is ready.
    pub fn project(&self, name: &str) -> Project<'_> {
        let (status, response) = self.call("POST", "/v1/projects", Some(&json!({ "name": name })));
        assert_eq!(status, 202, "{response}");
        let text = |value: &Value| value.as_str().expect("string").to_owned();
        let job = text(&response["job"]["id"]);
        self.run(&["jobs", "wait", &job]).succeeds();
        let id = text(&response["project"]["id"]);
        let (_, connections) = self.call("GET", &format!("/v1/projects/{id}/connections"), None);
        Project {
            control_plane: self,
            slug: text(&response["project"]["slug"]),
            url: text(&connections["connections"]["direct_url"]),
            id,
        }
    }

    /// Runs SQL as administrator in a database of the target server.
    pub fn admin(&self, database: &str, sql: &str) -> String {
        let secrets = fs::read_to_string(self.data_dir.join("secrets.json")).expect("read file");
        let secrets: Value = serde_json::from_str(&secrets).expect("valid JSON");
        let (password, port) = (secrets["admin_password"].as_str().expect("password"), &secrets["postgres_port"]);
        psql(&format!("postgres://capydb:{password}@127.0.0.1:{port}/{database}"), sql)
    }

    /// The URL of a project's database for the administrator, whom row security does not concern.
    pub fn admin_url(&self, project: &Project<'_>) -> String {
        let secrets = fs::read_to_string(self.data_dir.join("secrets.json")).expect("read file");
        let secrets: Value = serde_json::from_str(&secrets).expect("valid JSON");
        let (password, port) = (secrets["admin_password"].as_str().expect("password"), &secrets["postgres_port"]);
        format!("postgres://capydb:{password}@127.0.0.1:{port}/{}", project.sql("select current_database()"))
    }

    /// Blocks imports of the [`held_table`] of this name until [`ControlPlane::let_go`].
    pub fn hold(&self, name: &str) {
        self.admin("postgres", &format!("create role {name}"));
    }

    pub fn let_go(&self, name: &str) {
        self.admin("postgres", &format!("drop role {name}"));
    }

    /// Asserts that finished imports have left no databases, work directories or secrets.
    #[track_caller]
    pub fn assert_no_leftovers(&self) {
        let databases = "select datname from pg_database where datname like 'capydb\\_%'";
        super::until("import databases are removed", || self.admin("postgres", databases).is_empty());
        let work = self.data_dir.join("work");
        super::until("work directories are removed", || fs::read_dir(&work).expect("list directory").count() == 0);
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

/// Sends a request with an API key and an optional JSON body; returns the status and the response.
pub fn call(method: &str, url: &str, key: &str, body: Option<&Value>) -> (u16, Value) {
    ask(method, url, |request| {
        let request = request.bearer_auth(key);
        if let Some(body) = body { request.json(body) } else { request }
    })
}

/// Uploads bytes to a presigned URL.
pub fn put(url: &str, bytes: Vec<u8>) -> (u16, Value) {
    ask("PUT", url, |request| request.body(bytes))
}

/// Sends any request; returns the status and the response, as a JSON string if it is not JSON.
pub fn ask(
    method: &str,
    url: &str,
    configure: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
) -> (u16, Value) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("build runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("build client");
        let request = configure(client.request(method.parse().expect("valid method"), url));
        let response = request.send().await.expect("send request");
        let status = response.status().as_u16();
        let text = response.text().await.expect("read response");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    })
}

pub struct Project<'a> {
    control_plane: &'a ControlPlane,
    pub id: String,
    pub slug: String,
    /// Connection URL of the project's role.
    pub url: String,
}

impl Project<'_> {
    /// Runs `capydb import` for this project.
    pub fn import(&self, arguments: &[&str]) -> Ran {
        self.control_plane.run(&[&["import", "--project", &self.slug], arguments].concat())
    }

    /// Starts an import with the API and returns the finished job.
    pub fn import_by_api(&self, body: &Value) -> Value {
        let (status, response) =
            self.control_plane.call("POST", &format!("/v1/projects/{}/imports", self.id), Some(body));
        assert_eq!(status, 202, "{response}");
        let path = format!("/v1/jobs/{}", response["job"]["id"].as_str().expect("job id"));
        let mut job = Value::Null;
        super::until("the job is finished", || {
            // Tests share an API key, whose request rate is limited.
            std::thread::sleep(std::time::Duration::from_millis(80));
            job = self.control_plane.call("GET", &path, None).1["job"].clone();
            job["state"] == "completed" || job["state"] == "failed"
        });
        job
    }

    /// Uploads a file and imports it with the API, without a preflight.
    pub fn upload_and_import(&self, file: &Path, recreate: bool) -> Value {
        let path = format!("/v1/projects/{}/imports/uploads", self.id);
        let (_, slot) = self.control_plane.call("POST", &path, None);
        let (url, key) = (slot["upload"]["upload_url"].as_str().expect("upload URL"), &slot["upload"]["object_key"]);
        let (status, response) = put(url, fs::read(file).expect("read file"));
        assert_eq!(status, 200, "{response}");
        self.import_by_api(&json!({ "confirm": true, "recreate": recreate, "upload_key": key }))
    }

    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        psql(&self.url, sql)
    }
}

/// The control plane shared by most tests.
pub fn control_plane() -> &'static ControlPlane {
    static CONTROL_PLANE: OnceLock<ControlPlane> = OnceLock::new();
    CONTROL_PLANE.get_or_init(ControlPlane::ephemeral)
}

/// The Postgres 15 source shared by most tests, with the database `sample`.
pub fn source() -> &'static Source {
    static SOURCE: OnceLock<Source> = OnceLock::new();
    SOURCE.get_or_init(|| {
        let source = Source::start(15, &[]);
        source.create("sample", SAMPLE);
        source
    })
}
