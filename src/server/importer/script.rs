use crate::dump::sql::{Kind, Script};
use crate::dump::statement::{Treatment, treat};
use crate::dump::survey::refused_command;
use std::fs::File;
use std::io::{self, BufWriter, Write};

/// How a script is divided into transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batches {
    /// All of it is one.
    One,
    /// A commit after every so many statements.
    Of(usize),
}

/// Why a script did not reach psql whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum FeedError {
    /// It holds something that cannot be part of an import.
    #[error("{0}")]
    Refused(String),
    /// The dump cannot be read.
    #[error("{0}")]
    Read(io::Error),
    /// psql takes no more.
    #[error("{0}")]
    Pipe(#[from] io::Error),
}

/// Sends a plain dump to psql without what an import leaves out. What is left out leaves its
/// line ends behind, so that the lines in psql's messages are those of the dump.
pub(super) fn feed(dump: File, psql: impl Write, made_schemas: &[String], batches: Batches) -> Result<(), FeedError> {
    let mut out = BufWriter::with_capacity(256 << 10, psql);
    let mut script = Script::new(dump);
    let mut statements = 0_usize;
    let mut leaving_out = false;
    while let Some(piece) = script.next_piece().map_err(FeedError::Read)? {
        let run = match piece.kind {
            Kind::Between | Kind::Rows => true,
            Kind::StatementPart => !leaving_out,
            Kind::Command => {
                if let Some(why) = refused_command(piece.bytes) {
                    return Err(refused(script.line(), &why));
                }
                false
            }
            Kind::Statement | Kind::StatementStart => {
                if matches!(batches, Batches::Of(most) if statements > 0 && statements.is_multiple_of(most)) {
                    out.write_all(b"commit;begin;")?;
                }
                statements += 1;
                let run = match treat(piece.bytes) {
                    Treatment::Run | Treatment::CreatePolicy(_) | Treatment::CopyRows => true,
                    Treatment::CreateSchema(name) => name != "public" && !made_schemas.contains(&name),
                    Treatment::CreateExtension(_) | Treatment::Skip | Treatment::LeaveOut(..) => false,
                    Treatment::Refuse(why) => return Err(refused(script.line(), why)),
                };
                leaving_out = !run;
                run
            }
        };
        if run {
            out.write_all(piece.bytes)?;
        } else {
            let ends = memchr::memchr_iter(b'\n', piece.bytes).count();
            out.write_all(&vec![b'\n'; ends])?;
        }
    }
    if script.unfinished().is_some() {
        return Err(FeedError::Refused("the dump is cut off".into()));
    }
    out.flush()?;
    Ok(())
}

fn refused(line: u64, why: &str) -> FeedError {
    FeedError::Refused(format!("line {line} of the dump cannot be imported: {why}"))
}
