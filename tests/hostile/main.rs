//! Strangers: hostile sources, scripts, archives and callers, against a real control plane.
#![cfg(feature = "server")]

mod api;
mod archives;
mod scripts;
mod servers;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod urls;

use std::io::Write;

/// Says how many cases a test ran, past the capture of the test program.
fn ran_cases(what: &str, cases: usize) {
    let _ = writeln!(std::io::stderr(), "{what}: {cases} cases");
}
