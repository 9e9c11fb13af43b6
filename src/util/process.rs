//! Limits for child processes.

#[cfg(unix)]
use rustix::process::Signal;
use std::process::Command;

/// Makes the kernel send `signal` to the child when this process dies for any reason, and limits
/// the child's address space to `memory` bytes. Linux only; elsewhere this does nothing.
#[cfg(unix)]
pub fn kill_on_parent_death(command: &mut Command, signal: Signal, memory: Option<u64>) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        use std::os::unix::process::CommandExt;
        let set = move || {
            rustix::process::set_parent_process_death_signal(Some(signal))?;
            if memory.is_some() {
                setrlimit(Resource::As, Rlimit { current: memory, maximum: memory })?;
            }
            Ok(())
        };
        // SAFETY: only async-signal-safe functions may run between fork and exec; these two system
        // calls take no locks and allocate nothing.
        #[expect(unsafe_code, reason = "the standard library has no safe API for this setting")]
        unsafe {
            command.pre_exec(set);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (command, signal, memory);
}
