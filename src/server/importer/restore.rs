//! Loading an archive or a script into a database, as the project's own role.

use super::child::{Finished, Running, end_of, program};
use super::input::{Input, InputKind};
use super::script::{Batches, FeedError, feed};
use super::{Failure, Import};
use crate::server::crypto::random_hex;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

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
pub(super) async fn into_staging(import: &Import<'_>, database: &str, input: &Input) -> Result<(), Failure> {
    if input.kind == InputKind::Script {
        // Deferred constraints and temporary tables last as long as their transaction.
        let batches = if input.plan.handwritten { Batches::One } else { Batches::Of(OBJECTS_A_TRANSACTION) };
        return script(import, database, input, batches).await;
    }
    let list = restore_list(import, input)?;
    let mut command = as_owner(import, database, "pg_restore");
    command.arg("--dbname").arg(database).arg("--exit-on-error").args(STRIPPED).arg("--use-list").arg(list);
    // The staging database is thrown away after a crash; the swap at the end is what lasts.
    command.env("PGOPTIONS", format!("{SESSION} -c synchronous_commit=off"));
    let entries = input.plan.entries.len();
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4));
    if input.size >= PARALLEL_FROM && entries <= PARALLEL_UP_TO {
        command.arg(format!("--jobs={workers}"));
    } else if import.server.programs.version.0 >= 17 {
        command.arg(format!("--transaction-size={OBJECTS_A_TRANSACTION}"));
    } else if entries <= OBJECTS_A_TRANSACTION {
        command.arg("--single-transaction");
    }
    command.arg(&input.path);
    let finished = Running::start(command, &[import.role_password])?.finish().await?;
    if finished.is_success() { Ok(()) } else { Err(Failure::program("loading the data", &finished)) }
}

/// Loads into the live database in one transaction, which also checks the plan limit.
pub(super) async fn in_one_transaction(import: &Import<'_>, input: &Input) -> Result<(), Failure> {
    match input.kind {
        InputKind::Script => script(import, import.database, input, Batches::One).await,
        InputKind::Archive => archive_as_script(import, input).await,
    }
}

/// Settings of every session that loads: the limits of the role are for its applications.
const SESSION: &str = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 \
                       -c standard_conforming_strings=on";

/// A program that talks to the target as the project's role.
fn as_owner(import: &Import<'_>, database: &str, name: &str) -> Command {
    let mut command = program(&import.server.programs, import.server.run_as.as_ref(), name, import.work);
    command
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", import.server.port.to_string())
        .env("PGUSER", import.role)
        .env("PGPASSWORD", import.role_password)
        .env("PGDATABASE", database)
        .env("PGAPPNAME", import.application_name())
        .env("PGOPTIONS", SESSION)
        .arg("--no-password");
    command
}

fn restore_list(import: &Import<'_>, input: &Input) -> anyhow::Result<std::path::PathBuf> {
    let path = import.work.join("list");
    std::fs::write(&path, input.plan.restore_list())?;
    if let Some(user) = &import.server.run_as {
        user.own(&path)?;
    }
    Ok(path)
}

/// A `psql` that runs standard input in one transaction.
struct Psql {
    running: Running,
    pipe: File,
    /// Must be set at the end of the input, or the transaction does not commit: a pipe also
    /// ends when the one who fills it dies.
    arrived: String,
}

impl Psql {
    /// Starts it, learns the transaction's id, and has it check the plan limit last.
    async fn start(import: &Import<'_>, database: &str, batches: Batches) -> Result<Self, Failure> {
        let arrived = random_hex(16);
        let mut command = as_owner(import, database, "psql");
        command.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--single-transaction"]);
        command.args(["--set=ON_ERROR_STOP=1", "--command=select pg_current_xact_id()"]);
        if batches == Batches::One {
            command.arg(format!("--command={}", guard(&arrived)));
        }
        if import.server.programs.psql_restricts() {
            // psql itself refuses all its commands from here on, should our reading of the
            // script ever differ from its own.
            command.arg(format!("--command=\\restrict {}", random_hex(16)));
        }
        command.arg("--file=-").arg(format!("--command={}", last_check(&arrived, import.limits.storage_limit_bytes)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start(command, &[import.role_password])?;
        let (Some(stdin), Some(stdout)) = (running.child.stdin.take(), running.child.stdout.take()) else {
            return Err(anyhow::anyhow!("no pipe to psql").into());
        };
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.next_line().await.map_err(anyhow::Error::from)?;
        let Some(transaction) = first.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            drop(stdin);
            return Err(Failure::program("loading the data", &running.finish().await?));
        };
        if batches == Batches::One {
            if !import.store.set_transaction(import.job, &transaction).await? {
                return Err(Failure::transient("another worker has taken over this job"));
            }
            let _ = import.transaction.set(transaction); // one transaction an attempt
        }
        tokio::spawn(end_of(lines.into_inner())); // what the script selects is of no interest
        Ok(Self { running, pipe: blocking(stdin.into_owned_fd().map_err(anyhow::Error::from)?)?, arrived })
    }
}

/// A deferred trigger that fires when the transaction commits, and stops a commit that comes
/// before the end of the input, whoever wrote it and however it was disguised.
fn guard(arrived: &str) -> String {
    format!(
        "create function pg_temp.capydb_guard() returns trigger language plpgsql as $guard$ begin
             if coalesce(pg_catalog.current_setting('capydb.arrived', true), '') operator(pg_catalog.<>) '{arrived}' then
                 raise exception 'the dump ends its transaction before its own end';
             end if;
             return null;
         end $guard$;
         create temporary table capydb_guard (x int) on commit drop;
         create constraint trigger capydb_guard after insert on pg_temp.capydb_guard deferrable initially deferred
             for each row execute function pg_temp.capydb_guard();
         insert into pg_temp.capydb_guard values (1)"
    )
}

/// The end of every transaction: all of the input was seen, and the plan's limit holds.
fn last_check(arrived: &str, limit: u64) -> String {
    format!(
        "do $$ begin
             if coalesce(pg_catalog.current_setting('capydb.arrived', true), '') operator(pg_catalog.<>) '{arrived}' then
                 raise exception 'the dump did not arrive whole';
             end if;
             if pg_catalog.pg_database_size(pg_catalog.current_database()) operator(pg_catalog.>) {limit} then
                 raise exception 'the database would have % bytes, more than the {limit} bytes of the plan',
                     pg_catalog.pg_database_size(pg_catalog.current_database());
             end if;
         end $$"
    )
}

/// What the check wants to see.
fn arrival(arrived: &str) -> String {
    format!("\nset capydb.arrived = '{arrived}';\n")
}

/// Plain SQL through psql.
async fn script(import: &Import<'_>, database: &str, input: &Input, batches: Batches) -> Result<(), Failure> {
    let file = File::open(&input.path).map_err(anyhow::Error::from)?;
    let Psql { running, mut pipe, arrived } = Psql::start(import, database, batches).await?;
    let schemas: Vec<String> = input.plan.extensions.iter().filter_map(|wish| wish.schema.clone()).collect();
    let feeding = tokio::task::spawn_blocking(move || {
        feed(file, &mut pipe, &schemas, batches)?;
        Ok(pipe.write_all(arrival(&arrived).as_bytes())?)
    });
    conclude(running, feeding.await.map_err(anyhow::Error::from)?, Failure::script).await
}

/// An archive as SQL through psql: `pg_restore` itself would commit before the size is known.
async fn archive_as_script(import: &Import<'_>, input: &Input) -> Result<(), Failure> {
    let list = restore_list(import, input)?;
    let mut command = program(&import.server.programs, import.server.run_as.as_ref(), "pg_restore", import.work);
    command.arg("--file=-").args(STRIPPED).arg("--use-list").arg(list).arg(&input.path).stdout(Stdio::piped());
    let Psql { running, mut pipe, arrived } = Psql::start(import, import.database, Batches::One).await?;
    let mut unpacking = Running::start(command, &[])?;
    let stdout = unpacking.child.stdout.take().ok_or_else(|| anyhow::anyhow!("no pipe from pg_restore"))?;
    let source = blocking(stdout.into_owned_fd().map_err(anyhow::Error::from)?)?;
    // pg_restore's own text goes through the same filter: it ends transactions, too.
    let feeding = tokio::task::spawn_blocking(move || feed(source, &mut pipe, &[], Batches::One).map(|()| pipe));
    let fed = feeding.await.map_err(anyhow::Error::from)?;
    if let Err(FeedError::Pipe(_)) = fed {
        drop(unpacking); // psql has stopped; its own words say why
        return conclude(running, fed.map(drop), Failure::program).await;
    }
    let unpacked = unpacking.finish().await?;
    if !unpacked.is_success() {
        return Err(Failure::program("reading the archive", &unpacked));
    }
    let fed = fed.and_then(|mut pipe| Ok(pipe.write_all(arrival(&arrived).as_bytes())?));
    conclude(running, fed, Failure::program).await
}

/// Waits for psql. When the input broke off, what psql says counts, if it says anything.
async fn conclude(
    running: Running,
    fed: Result<(), FeedError>,
    failed: fn(&str, &Finished) -> Failure,
) -> Result<(), Failure> {
    match fed {
        // Dropping psql ends it before its input does, so nothing is committed.
        Err(FeedError::Refused(why)) => return Err(Failure::permanent(why)),
        Err(FeedError::Read(error)) => return Err(anyhow::Error::from(error).context("read the dump").into()),
        Err(FeedError::Pipe(_)) | Ok(()) => {}
    }
    let finished = running.finish().await?;
    if finished.is_success() && fed.is_ok() { Ok(()) } else { Err(failed("loading the data", &finished)) }
}

/// Tokio reads and writes pipes without waiting; a thread that only copies should wait.
fn blocking(pipe: OwnedFd) -> anyhow::Result<File> {
    rustix::fs::fcntl_setfl(&pipe, rustix::fs::fcntl_getfl(&pipe)? - rustix::fs::OFlags::NONBLOCK)?;
    Ok(File::from(pipe))
}
