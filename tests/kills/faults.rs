//! What can go wrong, and a source of chance that can be repeated.

use crate::support::fixtures::{ControlPlane, Source, try_psql};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).expect("small")]
    }
}

/// What dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process that holds API and worker.
    ControlPlane,
    /// Postgres's programs that the worker runs.
    Programs,
    /// A process of the target server that serves the import.
    TargetBackend,
    /// The whole target server, metadata included.
    TargetServer,
    /// The source's sessions.
    SourceSessions,
    /// The control plane and its programs at once, as when the machine stops.
    Machine,
    /// Nobody: somebody changes their mind.
    Cancelled,
}

impl Fault {
    pub(crate) const ALL: [Self; 7] = [
        Self::ControlPlane,
        Self::Programs,
        Self::TargetBackend,
        Self::TargetServer,
        Self::SourceSessions,
        Self::Machine,
        Self::Cancelled,
    ];

    pub(crate) fn ends_the_plane(self) -> bool {
        matches!(self, Self::ControlPlane | Self::TargetServer | Self::Machine)
    }

    pub(crate) fn strike(self, control_plane: &ControlPlane, source: &Source, job: &str) {
        let sessions = format!("from pg_stat_activity where application_name like 'capydb import {job} %'");
        match self {
            Self::ControlPlane => kill(control_plane.pid()),
            Self::Programs => programs_in(&control_plane.data_dir.join("work")).into_iter().for_each(kill),
            Self::TargetBackend => {
                let found = control_plane.admin("postgres", &format!("select pid {sessions}"));
                found.lines().for_each(|pid| kill(pid.parse().expect("a number")));
            }
            Self::TargetServer => kill(postmaster(control_plane)),
            Self::SourceSessions => {
                try_psql(&source.url("postgres"), &format!("select pg_terminate_backend(pid) {sessions}"));
            }
            Self::Machine => {
                let all = [
                    programs_in(&control_plane.data_dir.join("work")),
                    vec![postmaster(control_plane), control_plane.pid()],
                ]
                .concat();
                all.into_iter().for_each(kill);
            }
            Self::Cancelled => {
                let (status, answer) = control_plane.call("POST", &format!("/v1/jobs/{job}/cancel"), None);
                assert!(status == 202 || status == 409, "{status} {answer}");
            }
        }
    }
}

fn postmaster(control_plane: &ControlPlane) -> u32 {
    let file = fs::read_to_string(control_plane.data_dir.join("postgres/data/postmaster.pid")).expect("it runs");
    file.lines().next().and_then(|line| line.trim().parse().ok()).expect("a number")
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
    let _ = kill_process(pid, Signal::KILL); // it may be over already
}

/// Processes that work in a folder or below it.
pub(crate) fn programs_in(folder: &Path) -> Vec<u32> {
    let cluster = fs::read_dir("/proc").expect("lists").flatten();
    let numbers = cluster.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
    numbers.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))).collect()
}
