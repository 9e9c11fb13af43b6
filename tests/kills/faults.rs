//! Faults that interrupt an import, and a reproducible random number generator.

use crate::support::fixtures::{ControlPlane, Source, try_psql};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;

/// Pseudorandom numbers (SplitMix64): the same sequence for the same seed.
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
        &all[usize::try_from(self.below(all.len() as u64)).expect("index fits")]
    }
}

/// A fault during an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Kills the process of API and worker.
    ControlPlane,
    /// Kills the Postgres programs that the worker runs.
    Programs,
    /// Kills the import's backend processes of the target server.
    TargetBackend,
    /// Kills the target server, which also stores the metadata.
    TargetServer,
    /// Terminates the import's sessions on the source.
    SourceSessions,
    /// Kills control plane, target server and programs at once, like a power failure.
    Machine,
    /// Cancels the job.
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

    pub(crate) fn stops_control_plane(self) -> bool {
        matches!(self, Self::ControlPlane | Self::TargetServer | Self::Machine)
    }

    pub(crate) fn inject(self, control_plane: &ControlPlane, source: &Source, job: &str) {
        let sessions = format!("from pg_stat_activity where application_name like 'capydb import {job} %'");
        match self {
            Self::ControlPlane => kill(control_plane.pid()),
            Self::Programs => programs_in(&control_plane.data_dir.join("work")).into_iter().for_each(kill),
            Self::TargetBackend => {
                let pids = control_plane.admin("postgres", &format!("select pid {sessions}"));
                pids.lines().for_each(|pid| kill(pid.parse().expect("process ID")));
            }
            Self::TargetServer => kill(postmaster(control_plane)),
            Self::SourceSessions => {
                try_psql(&source.url("postgres"), &format!("select pg_terminate_backend(pid) {sessions}"));
            }
            Self::Machine => {
                let pids = [
                    programs_in(&control_plane.data_dir.join("work")),
                    vec![postmaster(control_plane), control_plane.pid()],
                ]
                .concat();
                pids.into_iter().for_each(kill);
            }
            Self::Cancelled => {
                let (status, response) = control_plane.call("POST", &format!("/v1/jobs/{job}/cancel"), None);
                assert!(status == 202 || status == 409, "{status} {response}");
            }
        }
    }
}

fn postmaster(control_plane: &ControlPlane) -> u32 {
    let file =
        fs::read_to_string(control_plane.data_dir.join("postgres/data/postmaster.pid")).expect("read postmaster.pid");
    file.lines().next().and_then(|line| line.trim().parse().ok()).expect("process ID")
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("process ID");
    let _ = kill_process(pid, Signal::KILL); // the process may have ended
}

/// The processes whose working directory is `dir` or below it.
pub(crate) fn programs_in(dir: &Path) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("list directory").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
    pids.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir))).collect()
}
