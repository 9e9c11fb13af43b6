//! The directories that attempts load through.

use crate::server::postgres::Tools;
use std::path::PathBuf;

/// The programs of imports, and where an attempt keeps its files while it runs.
pub(in crate::server) struct WorkDirs {
    /// The programs that move data.
    pub(in crate::server) tools: Tools,
    /// Holds one directory for each attempt. Several processes may share it.
    pub(in crate::server) root: PathBuf,
}

/// Separates a job's id from the number of the attempt in the name of a work directory.
const BEFORE_ATTEMPT: &str = ".attempt-";

impl WorkDirs {
    /// The directory of one attempt. A late attempt must not find the directory of the next one.
    pub(super) fn attempt(&self, job: &str, attempt: i32) -> PathBuf {
        self.root.join(format!("{job}{BEFORE_ATTEMPT}{attempt}"))
    }

    /// Removes the directory of an attempt, and those that earlier attempts left here when their
    /// worker died.
    pub(super) async fn remove(&self, job: &str, attempt: i32) {
        for number in 1..=attempt {
            let _ = tokio::fs::remove_dir_all(self.attempt(job, number)).await; // most do not exist
        }
    }

    /// The job that a work directory belongs to; `None` for any other name.
    pub(super) fn job_of(directory: &str) -> Option<&str> {
        directory.split_once(BEFORE_ATTEMPT).map(|(job, _)| job)
    }
}
