//! Untrusted input: hostile sources, scripts, archives and callers, against a real control plane.
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

/// Reports the number of cases on stderr; direct writes are not captured by the test harness.
fn report_cases(name: &str, cases: usize) {
    let _ = writeln!(std::io::stderr(), "{name}: {cases} cases");
}
