//! The `capydb` executable.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(capydb::cli::run(std::env::args_os()))
}
