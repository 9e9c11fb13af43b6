use crate::dump::scan::{INSIDE_STATEMENT, ZERO_BYTES, refused_command};
use crate::dump::sql::{Kind, Script};
use crate::dump::statement::{Treatment, treat};
use std::io::{self, BufWriter, Read, Write};

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

/// Sends SQL to psql without what an import leaves out. What is left out leaves its line ends
/// behind, so that the lines in psql's messages are those of the dump.
pub(super) fn feed(
    dump: impl Read + Send + 'static,
    psql: impl Write,
    made_schemas: &[String],
    batches: Batches,
) -> Result<(), FeedError> {
    let mut out = BufWriter::with_capacity(256 << 10, psql);
    let mut script = Script::new(dump);
    let mut course = Course::default();
    while let Some(piece) = script.next_piece().map_err(FeedError::Read)? {
        if piece.has_zero() {
            return Err(refused(piece.line(), ZERO_BYTES));
        }
        let run = match piece.kind {
            Kind::CommandInside => return Err(refused(piece.line(), INSIDE_STATEMENT)),
            Kind::Command => match refused_command(piece.bytes) {
                Some(why) => return Err(refused(piece.line(), &why)),
                None => false,
            },
            Kind::Between | Kind::Rows => true,
            Kind::StatementPart => !course.leaving_out,
            Kind::Inserts(count) => {
                if course.ends_batch(batches, usize::try_from(count).unwrap_or(usize::MAX)) {
                    out.write_all(b"commit;begin;")?;
                }
                true
            }
            Kind::Statement | Kind::StatementStart => {
                if course.ends_batch(batches, 1) {
                    out.write_all(b"commit;begin;")?;
                }
                course.statement(piece.bytes, made_schemas).map_err(|why| refused(piece.line(), why))?
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

/// Where a script stands.
#[derive(Default)]
struct Course {
    /// The statement that is passing by is left out.
    leaving_out: bool,
    /// The script has begun a transaction of its own and not ended it.
    own_transaction: bool,
    /// Statements since the last commit.
    statements: usize,
}

impl Course {
    /// Whether it is time to commit. What the script wants in one transaction stays in one:
    /// large objects are written through descriptors that end with it.
    fn ends_batch(&mut self, batches: Batches, next: usize) -> bool {
        let ends = matches!(batches, Batches::Of(most) if self.statements >= most) && !self.own_transaction;
        self.statements = if ends { next } else { self.statements.saturating_add(next) };
        ends
    }

    /// Whether a statement is run; why not, when the script cannot go on without it.
    fn statement(&mut self, text: &[u8], made_schemas: &[String]) -> Result<bool, &'static str> {
        let run = match treat(text) {
            Treatment::Run | Treatment::CreatePolicy(_) | Treatment::CopyRows => true,
            Treatment::CreateSchema(name) | Treatment::DropSchema(name) => {
                name != "public" && !made_schemas.contains(&name)
            }
            Treatment::CreateExtension(_) | Treatment::Skip | Treatment::LeaveOut(..) => false,
            Treatment::Begin => {
                self.own_transaction = true;
                false
            }
            Treatment::Commit => {
                self.own_transaction = false;
                false
            }
            Treatment::Refuse(why) => return Err(why),
        };
        self.leaving_out = !run;
        Ok(run)
    }
}

fn refused(line: u64, why: &str) -> FeedError {
    FeedError::Refused(format!("line {line} of the dump cannot be imported: {why}"))
}
