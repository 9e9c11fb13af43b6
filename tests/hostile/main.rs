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

/// Reports the number of cases.
fn report_cases(name: &str, cases: usize) {
    support::report(&format!("{name}: {cases} cases"));
}
