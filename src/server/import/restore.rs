//! Loading an archive or a script into a database, as the project's own role.

use super::commit_guard::CommitGuard;
use super::error::catalog::ErrorLocation;
use super::error::location::locate;
use super::input::{Input, InputKind};
use super::process::{ChildProcess, program, read_tail};
use super::progress::batch_markers::Marker;
use super::progress::poller::{parse_restore_line, poll_progress};
use super::progress::tracker::Phase;
use super::script::{Batches, FeedError, ScriptObserver, feed};
use super::{Import, ImportFailure};
use crate::server::crypto::random_hex;
use crate::server::postgres::private_file;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::task::JoinHandle;

/// Archives from this size on are restored over several connections, in bytes.
const PARALLEL_FROM: u64 = 32 << 20;
/// With more objects than this, several connections are slower than one.
const PARALLEL_UP_TO: usize = 5_000;
/// Objects that one transaction makes at most: each holds locks, and their number is limited.
const OBJECTS_A_TRANSACTION: usize = 1_000;

/// Leave out what belongs to the source server and not to the data.
const STRIPPED: [&str; 5] =
    ["--no-owner", "--no-privileges", "--no-tablespaces", "--no-security-labels", "--no-subscriptions"];

/// Loads into a staging database, where a failure leaves nothing behind: parallel or in
/// several transactions, as the contents ask.
pub(super) async fn into_staging(import: &Import<'_>, database: &str, input: &Input) -> Result<(), ImportFailure> {
    begin_to_meter(import, input, true);
    let script = input.kind == InputKind::Script;
    let work = async {
        if !script && input.plan.by_statements {
            return archive_as_script(import, database, input, Batches::Of(OBJECTS_A_TRANSACTION), None).await;
        }
        if !script {
            return archive(import, database, input).await;
        }
        // Deferred constraints and temporary tables last as long as their transaction.
        let batches = if input.plan.handwritten { Batches::One } else { Batches::Of(OBJECTS_A_TRANSACTION) };
        feed_script(import, database, input, batches, None).await
    };
    tokio::select! {
        done = work => done,
        never = poll_progress(import, database, !script) => match never {},
    }
}

/// Whether an archive is restored over several connections.
fn is_parallel(input: &Input) -> bool {
    input.size >= PARALLEL_FROM && input.plan.entries.len() <= PARALLEL_UP_TO && !input.plan.by_statements
}

fn begin_to_meter(import: &Import<'_>, input: &Input, database_is_own: bool) {
    match input.kind {
        InputKind::Script => {
            import.tracker.enter(Phase::Loading, Some(input.size));
            import.tracker.expect_script(input.plan.script_tables);
        }
        InputKind::Archive => {
            import.tracker.enter(Phase::Loading, None);
            let parallel = database_is_own && is_parallel(input);
            import.tracker.expect(&input.plan.tables, input.compressed, parallel, input.plan.indexes);
        }
    }
}

/// An archive through `pg_restore`, over several connections if it is large.
async fn archive(import: &Import<'_>, database: &str, input: &Input) -> Result<(), ImportFailure> {
    let list = restore_list(import, input)?;
    let mut command = as_owner(import, database, "pg_restore");
    command.arg("--dbname").arg(database).arg("--exit-on-error").args(STRIPPED).arg("--use-list").arg(list);
    // The staging database is thrown away after a crash; the swap at the end is what lasts.
    command.env("PGOPTIONS", format!("{} -c synchronous_commit=off", session(import)));
    let entries = input.plan.entries.len();
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4));
    let parallel = is_parallel(input);
    if parallel {
        command.arg(format!("--jobs={workers}"));
    } else if import.tools.programs.version.0 >= 17 {
        command.arg(format!("--transaction-size={OBJECTS_A_TRANSACTION}"));
    } else if entries <= OBJECTS_A_TRANSACTION {
        command.arg("--single-transaction");
    }
    command.arg("--verbose").arg(&input.path);
    let tracker = import.tracker.clone();
    let heard = move |line: &str| parse_restore_line(line, parallel, &tracker);
    let finished = ChildProcess::spawn_with_line_filter(command, &[import.role_password], heard)?.finish().await?;
    if finished.is_success() {
        return Ok(());
    }
    Err(ImportFailure::program(LOADING, &finished, &ErrorLocation::default()))
}

/// What a message says was being done.
const LOADING: &str = "loading the data";

/// Loads into the live database in one transaction, which also checks the plan limit.
pub(super) async fn in_one_transaction(import: &Import<'_>, input: &Input) -> Result<(), ImportFailure> {
    begin_to_meter(import, input, false);
    let guard = &CommitGuard::new();
    let work = async {
        match input.kind {
            InputKind::Script => feed_script(import, import.database, input, Batches::One, Some(guard)).await,
            InputKind::Archive => archive_as_script(import, import.database, input, Batches::One, Some(guard)).await,
        }
    };
    tokio::select! {
        done = work => done,
        never = poll_progress(import, import.database, false) => match never {},
    }
}

/// Settings of every session that loads: the limits of the role are for its applications.
fn session(import: &Import<'_>) -> String {
    format!("{} -c standard_conforming_strings=on", import.server.session_overrides())
}

/// A program that talks to the target as the project's role.
fn as_owner(import: &Import<'_>, database: &str, name: &str) -> Command {
    let mut command = program(import.tools, name, import.work);
    command
        .envs(import.server.endpoint.environment())
        .env("PGUSER", import.role)
        .env("PGPASSWORD", import.role_password)
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

/// A `psql` that runs standard input in one transaction.
struct Psql {
    running: ChildProcess,
    feeder: Feeder,
    /// Ends when all of its output was heard.
    heard: JoinHandle<String>,
}

/// The end of its standard input that we hold. It goes to the thread that fills it, while
/// `psql` itself stays where it is ended when the import is given up.
struct Feeder {
    pipe: File,
    /// Must be said at the end of the input, or the transaction does not commit: a pipe also
    /// ends when the one who fills it dies.
    arrival: String,
    observer: ScriptObserver,
}

impl Psql {
    /// Starts it, learns the transaction's id, and has it check the plan limit last.
    async fn start(import: &Import<'_>, database: &str, guard: Option<&CommitGuard>) -> Result<Self, ImportFailure> {
        let mut command = as_owner(import, database, "psql");
        command.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--single-transaction"]);
        command.args(["--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose"]);
        if let Some(guard) = guard {
            // Should the script get out of its transaction, it can do nothing by accident.
            command.env("PGOPTIONS", format!("{} -c default_transaction_read_only=on", session(import)));
            command.arg("--command=set transaction read write");
            command.arg(format!("--command={}", guard.begin()));
        }
        command.arg("--command=select pg_catalog.pg_current_xact_id()");
        let arrived = random_hex(16);
        if import.tools.programs.psql_restricts() {
            // psql itself refuses all its commands from here on, should our reading of the
            // script ever differ from its own.
            command.arg(format!("--command=\\restrict {}", random_hex(16)));
        }
        command.arg("--file=-").arg(format!("--command={}", last_check(&arrived, import.limits.storage_limit_bytes)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // Where in the server's source an error was raised helps nobody here.
        let heard = |line: &str| !line.starts_with("LOCATION:  ");
        let mut running = ChildProcess::spawn_with_line_filter(command, &[import.role_password], heard)?;
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
        let mut arrival = format!("\n{}set capydb.whole = '{arrived}';\n", observer.markers.check());
        if let Some(guard) = guard {
            if !import.store.set_transaction(import.job, &transaction).await? {
                return Err(ImportFailure::lease_lost());
            }
            arrival.push_str(&guard.open(&transaction));
        }
        arrival.push_str(&observer.markers.marker(Marker::End));
        arrival.push('\n');
        let (markers, tracker) = (observer.markers.clone(), import.tracker.clone());
        // What the script selects is of no interest.
        let heard = tokio::spawn(read_tail(lines.into_inner(), move |line| {
            markers.observe_line(line, &tracker);
            false
        }));
        let pipe = blocking(stdin.into_owned_fd().map_err(anyhow::Error::from)?)?;
        Ok(Self { running, feeder: Feeder { pipe, arrival, observer }, heard })
    }

    /// Waits for its end. When the input broke off, what psql says counts, if it says anything.
    async fn conclude(self, input: &Input, bytes_fed: Result<(), FeedError>) -> Result<(), ImportFailure> {
        let Self { running, feeder: Feeder { pipe, observer, .. }, heard } = self;
        match bytes_fed {
            // Dropping psql ends it before its input does, so nothing is committed.
            Err(FeedError::Refused(why)) => {
                drop(running);
                return Err(ImportFailure::permanent(why));
            }
            Err(FeedError::Read(error)) => {
                drop(running);
                return Err(anyhow::Error::from(error).context("read the dump").into());
            }
            Err(FeedError::Pipe(_)) | Ok(()) => drop(pipe),
        }
        let finished = running.finish().await?;
        if finished.is_success() && bytes_fed.is_ok() {
            return Ok(());
        }
        let _ = heard.await; // it only listens
        let failure = ImportFailure::program(LOADING, &finished, &locate(&finished, input, &observer));
        // psql says by its exit code that it met an error, or that it lost its connection (psql, "Exit
        // Status"); the latter may happen after the commit.
        let only_lost = observer.markers.reached_end() && finished.code != Some(3);
        Err(if only_lost { failure.after_script_end() } else { failure })
    }
}

/// The end of every transaction: all of the input was seen, and the plan's limit holds.
fn last_check(arrived: &str, limit: u64) -> String {
    format!(
        "do $$ begin
             if coalesce(pg_catalog.current_setting('capydb.whole', true), '') operator(pg_catalog.<>) '{arrived}' then
                 raise exception 'the dump did not arrive whole';
             end if;
             if pg_catalog.pg_database_size(pg_catalog.current_database()) operator(pg_catalog.>) {limit} then
                 raise exception using errcode = '53400', message = 'the database would be larger than the {} of the plan';
             end if;
         end $$",
        crate::util::format::bytes(limit)
    )
}

impl Feeder {
    /// Says that the input was whole.
    fn arrive(&mut self) -> Result<(), FeedError> {
        Ok(self.pipe.write_all(self.arrival.as_bytes())?)
    }
}

/// Plain SQL through psql.
async fn feed_script(
    import: &Import<'_>,
    database: &str,
    input: &Input,
    batches: Batches,
    guard: Option<&CommitGuard>,
) -> Result<(), ImportFailure> {
    let file = File::open(&input.path).map_err(anyhow::Error::from)?;
    let Psql { running, mut feeder, heard } = Psql::start(import, database, guard).await?;
    let schemas: Vec<String> = input.plan.extensions.iter().filter_map(|wanted| wanted.schema.clone()).collect();
    let feeding = tokio::task::spawn_blocking(move || {
        let bytes_fed = feed(file, &mut feeder.pipe, &schemas, batches, &feeder.observer);
        let bytes_fed = bytes_fed.and_then(|()| feeder.arrive());
        (feeder, bytes_fed)
    });
    let (feeder, bytes_fed) = feeding.await.map_err(anyhow::Error::from)?;
    Psql { running, feeder, heard }.conclude(input, bytes_fed).await
}

/// An archive as SQL through psql: `pg_restore` itself would commit before the size is known,
/// and it runs rows that come as statements unseen.
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
    let Psql { running, mut feeder, heard } = Psql::start(import, database, guard).await?;
    let mut unpacking = ChildProcess::start(command, &[])?;
    let stdout = unpacking.child.stdout.take().ok_or_else(|| anyhow::anyhow!("no pipe from pg_restore"))?;
    let source = blocking(stdout.into_owned_fd().map_err(anyhow::Error::from)?)?;
    // pg_restore's own text goes through the same filter: it ends transactions, too.
    let feeding = tokio::task::spawn_blocking(move || {
        let bytes_fed = feed(source, &mut feeder.pipe, &[], batches, &feeder.observer);
        (feeder, bytes_fed)
    });
    let (feeder, bytes_fed) = feeding.await.map_err(anyhow::Error::from)?;
    let mut psql = Psql { running, feeder, heard };
    if let Err(FeedError::Pipe(_)) = bytes_fed {
        drop(unpacking); // psql has stopped; its own words say why
        return psql.conclude(input, bytes_fed).await;
    }
    let unpacked = unpacking.finish().await?;
    if !unpacked.is_success() {
        return Err(ImportFailure::program("reading the archive", &unpacked, &ErrorLocation::default()));
    }
    let bytes_fed = bytes_fed.and_then(|()| psql.feeder.arrive());
    psql.conclude(input, bytes_fed).await
}

/// Tokio reads and writes pipes without waiting; a thread that only copies should wait.
fn blocking(pipe: OwnedFd) -> anyhow::Result<File> {
    rustix::fs::fcntl_setfl(&pipe, rustix::fs::fcntl_getfl(&pipe)? - rustix::fs::OFlags::NONBLOCK)?;
    Ok(File::from(pipe))
}
