//! How a process that stays is asked to stop.

use super::Failure;
use tokio::signal::unix::{SignalKind, signal};

/// Ctrl-C, the signal that service managers send, and the end of the terminal.
pub(super) struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

/// Who asked to stop.
#[derive(Clone, Copy)]
pub(super) enum Request {
    /// A person, by Ctrl-C, which the whole terminal hears.
    Interrupt,
    /// Somebody who spoke to this process alone.
    Terminate,
}

impl Stop {
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(anyhow::Error::from);
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    pub(super) async fn asked(&mut self) -> Request {
        tokio::select! {
            _ = self.interrupt.recv() => Request::Interrupt,
            _ = self.terminate.recv() => Request::Terminate,
            _ = self.hangup.recv() => Request::Terminate,
        }
    }
}
