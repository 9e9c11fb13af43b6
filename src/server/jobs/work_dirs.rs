//! The work directories of attempts.

use crate::server::postgres::Tools;
use std::path::PathBuf;

/// The programs of imports, and the directories for the files of running attempts.
pub(in crate::server) struct WorkDirs {
    /// The programs that move data.
    pub(in crate::server) tools: Tools,
    /// Holds one directory for each attempt. Several processes may share it.
    pub(in crate::server) root: PathBuf,
}

/// Separates a job's id from the number of the attempt in the name of a work directory.
const BEFORE_ATTEMPT: &str = ".attempt-";

impl WorkDirs {
    /// The directory of one attempt. Each has its own, so that a late attempt cannot touch the next one's.
    pub(super) fn attempt(&self, job: &str, attempt: i32) -> PathBuf {
        self.root.join(format!("{job}{BEFORE_ATTEMPT}{attempt}"))
    }

    /// Removes the directories of this attempt and of earlier ones, whose workers may have died.
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
