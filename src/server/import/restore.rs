//! Loads an archive or a script into a database, as the project's own role.

use super::commit_guard::CommitGuard;
use super::error::explain::ErrorLocation;
use super::error::location::locate;
use super::input::{Input, InputKind};
use super::process::{ChildProcess, program, read_tail};
use super::progress::batch_markers::Marker;
use super::progress::poller::{parse_restore_line, poll_progress};
use super::progress::tracker::Phase;
use super::script::{Batches, FeedError, Filter, ScriptObserver, feed};
use super::{Import, ImportFailure, replication_role};
use crate::server::crypto::random_hex;
use crate::server::postgres::private_file;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::task::JoinHandle;

/// Archives of at least this size, in bytes, are restored over several connections.
const PARALLEL_FROM: u64 = 32 << 20;
/// Number of objects above which several connections are slower than one.
const MAX_PARALLEL_ENTRIES: usize = 5_000;
/// Maximum number of objects created in one transaction, because each holds locks.
const MAX_OBJECTS_PER_TRANSACTION: usize = 1_000;

/// Options that skip properties of the source server.
const STRIPPED: [&str; 5] =
    ["--no-owner", "--no-privileges", "--no-tablespaces", "--no-security-labels", "--no-subscriptions"];

/// Loads into a staging database, which is dropped on error: over several connections or in several
/// transactions, depending on the contents.
pub(super) async fn into_staging(import: &Import<'_>, database: &str, input: &Input) -> Result<(), ImportFailure> {
    start_progress(import, input, true);
    let script = input.kind == InputKind::Script;
    let work = async {
        if !script && (input.plan.by_statements || input.search_path.is_some()) {
            return archive_as_script(import, database, input, Batches::Of(MAX_OBJECTS_PER_TRANSACTION), None).await;
        }
        if !script {
            return archive(import, database, input).await;
        }
        // Deferred constraints and temporary tables may depend on a single transaction.
        let batches =
            if input.plan.script.one_transaction { Batches::One } else { Batches::Of(MAX_OBJECTS_PER_TRANSACTION) };
        feed_script(import, database, input, batches, None).await
    };
    tokio::select! {
        result = work => result,
        never = poll_progress(import, database, !script) => match never {},
    }
}

/// Whether an archive is restored over several connections.
fn is_parallel(input: &Input) -> bool {
    input.size >= PARALLEL_FROM && input.plan.entries.len() <= MAX_PARALLEL_ENTRIES && !input.plan.by_statements
}

fn start_progress(import: &Import<'_>, input: &Input, database_is_own: bool) {
    match input.kind {
        InputKind::Script => {
            import.tracker.enter(Phase::Loading, Some(input.size));
            import.tracker.expect_script(input.plan.script.tables);
        }
        InputKind::Archive => {
            import.tracker.enter(Phase::Loading, None);
            let parallel = database_is_own && is_parallel(input);
            import.tracker.expect(&input.plan.tables, input.compressed, parallel, input.plan.indexes);
        }
    }
}

/// Restores an archive with `pg_restore`, over several connections if it is large.
async fn archive(import: &Import<'_>, database: &str, input: &Input) -> Result<(), ImportFailure> {
    let list = restore_list(import, input)?;
    let mut command = as_owner(import, database, "pg_restore");
    command.arg("--dbname").arg(database).arg("--exit-on-error").args(STRIPPED).arg("--use-list").arg(list);
    // After a crash the staging database is dropped, so only the swap must be durable.
    command.env("PGOPTIONS", format!("{} -c synchronous_commit=off", session(import)));
    let entries = input.plan.entries.len();
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4));
    let parallel = is_parallel(input);
    if parallel {
        command.arg(format!("--jobs={workers}"));
    } else if import.tools.programs.version.0 >= 17 {
        command.arg(format!("--transaction-size={MAX_OBJECTS_PER_TRANSACTION}"));
    } else if entries <= MAX_OBJECTS_PER_TRANSACTION {
        command.arg("--single-transaction");
    }
    command.arg("--verbose").arg(&input.path);
    let tracker = import.tracker.clone();
    let keep = move |line: &str| parse_restore_line(line, parallel, &tracker);
    let finished = ChildProcess::spawn_with_line_filter(command, &[import.role_password], keep)?.finish().await?;
    if finished.is_success() {
        return Ok(());
    }
    Err(ImportFailure::program(LOADING, &finished, &ErrorLocation::default()))
}

/// The operation that failure messages name.
const LOADING: &str = "loading the data";

/// Loads into the live database in one transaction, which also enforces the plan limit.
pub(super) async fn in_one_transaction(import: &Import<'_>, input: &Input) -> Result<(), ImportFailure> {
    start_progress(import, input, false);
    let guard = &CommitGuard::new();
    let work = async {
        match input.kind {
            InputKind::Script => feed_script(import, import.database, input, Batches::One, Some(guard)).await,
            InputKind::Archive => archive_as_script(import, import.database, input, Batches::One, Some(guard)).await,
        }
    };
    tokio::select! {
        result = work => result,
        never = poll_progress(import, import.database, false) => match never {},
    }
}

/// Settings of every loading session. They override the role's limits, which are for applications.
fn session(import: &Import<'_>) -> String {
    format!("{} -c standard_conforming_strings=on", import.server.session_overrides())
}

/// A command for a program that connects to the target as the project's role.
fn as_owner(import: &Import<'_>, database: &str, name: &str) -> Command {
    let mut command = program(import.tools, name, import.work);
    command
        .envs(import.server.endpoint.environment())
        .env("PGUSER", import.role)
        .env("PGPASSWORD", import.role_password)
        // A dump that declares no encoding must be UTF-8, as the target is.
        .env("PGCLIENTENCODING", "UTF8")
        .env("PGDATABASE", database)
        .env("PGAPPNAME", import.application_name())
        .env("PGOPTIONS", session(import))
        .arg("--no-password");
    command
}

fn restore_list(import: &Import<'_>, input: &Input) -> anyhow::Result<std::path::PathBuf> {
    let path = import.work.join("list");
    private_file(&path, import.tools.run_as.as_ref())?.write_all(input.plan.restore_list().as_bytes())?;
    Ok(path)
}

/// A `psql` that runs its standard input in one transaction.
struct Psql {
    running: ChildProcess,
    feeder: Feeder,
    /// Ends when all of its output has been read.
    output: JoinHandle<String>,
}

/// The write end of psql's standard input. It moves to the thread that writes to it, while the process
/// stays with the task that kills it when the import is aborted.
struct Feeder {
    pipe: File,
    /// SQL that must end the input, or the transaction does not commit: the pipe also closes when the
    /// writer dies.
    end_sql: String,
    observer: ScriptObserver,
}

impl Psql {
    /// Starts psql, reads the transaction id, and adds the final check of input and plan limit.
    async fn start(
        import: &Import<'_>,
        database: &str,
        input: &Input,
        guard: Option<&CommitGuard>,
    ) -> Result<Self, ImportFailure> {
        let mut command = as_owner(import, database, "psql");
        if let Some(encoding) = &input.encoding {
            command.env("PGCLIENTENCODING", encoding.name());
        }
        command.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--single-transaction"]);
        command.args(["--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose"]);
        if let Some(guard) = guard {
            // A script that leaves its transaction cannot change anything by accident.
            command.env("PGOPTIONS", format!("{} -c default_transaction_read_only=on", session(import)));
            command.arg("--command=set transaction read write");
            command.arg(format!("--command={}", guard.begin()));
        }
        command.arg("--command=select pg_catalog.pg_current_xact_id()");
        let arrived = random_hex(16);
        if import.tools.programs.psql_has_restrict() {
            // From here on psql itself rejects all meta-commands, in case it parses the script
            // differently than our filter.
            command.arg(format!("--command=\\restrict {}", random_hex(16)));
        }
        command.arg("--file=-").arg(format!("--command={}", last_check(&arrived, import.limits.storage_limit_bytes)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // The location in the server's source code does not help users.
        let keep = |line: &str| !line.starts_with("LOCATION:  ");
        let mut running = ChildProcess::spawn_with_line_filter(command, &[import.role_password], keep)?;
        let (Some(stdin), Some(stdout)) = (running.child.stdin.take(), running.child.stdout.take()) else {
            return Err(anyhow::anyhow!("no pipe to psql").into());
        };
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.next_line().await.map_err(anyhow::Error::from)?;
        let Some(transaction) = first.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            drop(stdin);
            return Err(ImportFailure::program(LOADING, &running.finish().await?, &ErrorLocation::default()));
        };
        let observer = ScriptObserver::of(import.tracker.clone());
        let mut end_sql = format!("\n{}set capydb.whole = '{arrived}';\n", observer.markers.check());
        if let Some(guard) = guard {
            if !import.store.set_transaction(import.job, &transaction).await? {
                return Err(ImportFailure::lease_lost());
            }
            end_sql.push_str(&guard.open(&transaction));
        }
        end_sql.push_str(&observer.markers.marker(Marker::End));
        end_sql.push('\n');
        let (markers, tracker) = (observer.markers.clone(), import.tracker.clone());
        // Only markers matter, not the script's query results.
        let output = tokio::spawn(read_tail(lines.into_inner(), move |line| {
            markers.observe_line(line, &tracker);
            false
        }));
        let pipe = make_blocking(stdin.into_owned_fd().map_err(anyhow::Error::from)?)?;
        Ok(Self { running, feeder: Feeder { pipe, end_sql, observer }, output })
    }

    /// Waits for psql to exit. If writing the input failed, psql's own error takes precedence.
    async fn finish_psql(self, input: &Input, bytes_fed: Result<(), FeedError>) -> Result<(), ImportFailure> {
        let Self { running, feeder: Feeder { pipe, observer, .. }, output } = self;
        match bytes_fed {
            // Dropping psql kills it before its input ends, so nothing is committed.
            Err(FeedError::Refused(why)) => {
                drop(running);
                return Err(ImportFailure::permanent(why));
            }
            Err(FeedError::Read(error)) => {
                drop(running);
                return Err(anyhow::Error::from(error).context("cannot read the dump").into());
            }
            Err(FeedError::Pipe(_)) | Ok(()) => drop(pipe),
        }
        let finished = running.finish().await?;
        if finished.is_success() && bytes_fed.is_ok() {
            return Ok(());
        }
        let _ = output.await; // it only reads
        let failure = ImportFailure::program(LOADING, &finished, &locate(&finished, input, &observer));
        // psql exits with 3 after an error in a script, and with another code if the connection was lost
        // (psql, "Exit Status"), which may happen after the commit.
        let lost_at_end = observer.markers.reached_end() && finished.code != Some(3);
        Err(if lost_at_end { failure.after_script_end() } else { failure })
    }
}

/// SQL for the end of every transaction: checks that the input is complete and within the plan limit.
fn last_check(arrived: &str, limit: u64) -> String {
    format!(
        "do $$ begin
             if coalesce(pg_catalog.current_setting('capydb.whole', true), '') operator(pg_catalog.<>) '{arrived}' then
                 raise exception 'the input ended before the end of the dump';
             end if;
             if pg_catalog.pg_database_size(pg_catalog.current_database()) operator(pg_catalog.>) {limit} then
                 raise exception using errcode = '53400', message = 'the database would exceed the plan limit of {}';
             end if;
         end $$",
        crate::util::format::bytes(limit)
    )
}

impl Feeder {
    /// Marks the input as complete.
    fn finish(&mut self) -> Result<(), FeedError> {
        Ok(self.pipe.write_all(self.end_sql.as_bytes())?)
    }
}

/// Runs plain SQL with psql.
async fn feed_script(
    import: &Import<'_>,
    database: &str,
    input: &Input,
    batches: Batches,
    guard: Option<&CommitGuard>,
) -> Result<(), ImportFailure> {
    let file = File::open(&input.path).map_err(anyhow::Error::from)?;
    let sets_replication_role = input.plan.script.sets_replication_role;
    if sets_replication_role {
        replication_role::grant(import).await?;
    }
    let Psql { running, mut feeder, output } = Psql::start(import, database, input, guard).await?;
    let filter = Filter {
        made_schemas: input.plan.extensions.iter().filter_map(|requested| requested.schema.clone()).collect(),
        existing_schemas: input.plan.existing_schemas.clone(),
        is_new: guard.is_none(),
        search_path: input.search_path.clone(),
        encoding: input.encoding.clone(),
        script: input.plan.script.clone(),
    };
    let feeding = tokio::task::spawn_blocking(move || {
        let bytes_fed = feed(file, &mut feeder.pipe, &filter, batches, &feeder.observer);
        let bytes_fed = bytes_fed.and_then(|()| feeder.finish());
        (feeder, bytes_fed)
    });
    let (feeder, bytes_fed) = feeding.await.map_err(anyhow::Error::from)?;
    let loaded = Psql { running, feeder, output }.finish_psql(input, bytes_fed).await;
    if sets_replication_role {
        replication_role::revoke(import).await?;
    }
    loaded
}

/// Converts an archive to SQL and runs it with psql: `pg_restore` would commit before the size is
/// known, and would run rows that are statements without our filter.
async fn archive_as_script(
    import: &Import<'_>,
    database: &str,
    input: &Input,
    batches: Batches,
    guard: Option<&CommitGuard>,
) -> Result<(), ImportFailure> {
    let list = restore_list(import, input)?;
    let mut command = program(import.tools, "pg_restore", import.work);
    command.arg("--file=-").args(STRIPPED).arg("--use-list").arg(list).arg(&input.path).stdout(Stdio::piped());
    let Psql { running, mut feeder, output } = Psql::start(import, database, input, guard).await?;
    let mut unpacking = ChildProcess::start(command, &[])?;
    let stdout = unpacking.child.stdout.take().ok_or_else(|| anyhow::anyhow!("no pipe from pg_restore"))?;
    let source = make_blocking(stdout.into_owned_fd().map_err(anyhow::Error::from)?)?;
    // The SQL of pg_restore passes through the same filter, because it too ends transactions.
    let (search_path, encoding) = (input.search_path.clone(), input.encoding.clone());
    let filter = Filter { search_path, encoding, ..Filter::default() };
    let feeding = tokio::task::spawn_blocking(move || {
        let bytes_fed = feed(source, &mut feeder.pipe, &filter, batches, &feeder.observer);
        (feeder, bytes_fed)
    });
    let (feeder, bytes_fed) = feeding.await.map_err(anyhow::Error::from)?;
    let mut psql = Psql { running, feeder, output };
    if let Err(FeedError::Pipe(_)) = bytes_fed {
        drop(unpacking); // psql has stopped; its own error says why
        return psql.finish_psql(input, bytes_fed).await;
    }
    let unpacked = unpacking.finish().await?;
    if !unpacked.is_success() {
        return Err(ImportFailure::program("reading the archive", &unpacked, &ErrorLocation::default()));
    }
    let bytes_fed = bytes_fed.and_then(|()| psql.feeder.finish());
    psql.finish_psql(input, bytes_fed).await
}

/// Makes a pipe blocking again: Tokio sets it nonblocking, but the copying thread must wait.
fn make_blocking(pipe: OwnedFd) -> anyhow::Result<File> {
    rustix::fs::fcntl_setfl(&pipe, rustix::fs::fcntl_getfl(&pipe)? - rustix::fs::OFlags::NONBLOCK)?;
    Ok(File::from(pipe))
}
