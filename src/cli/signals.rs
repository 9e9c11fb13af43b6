//! Signals that end a command or stop a server process.

/// Waits for a signal that ends this command: Ctrl-C, a closed terminal, or a cancelled CI job.
#[cfg(unix)]
pub(super) async fn interrupted() {
    match SignalStream::listen() {
        Ok(mut signals) => {
            signals.next().await;
        }
        Err(_) => std::future::pending().await, // the default action of the signal still applies
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub(super) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The signals that stop a server process: Ctrl-C, SIGTERM from service managers, and a closed
/// terminal.
#[cfg(unix)]
pub(super) struct SignalStream {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

/// The kind of a stop signal.
#[cfg(unix)]
#[derive(Debug, Clone, Copy)]
pub(super) enum StopSignal {
    /// Ctrl-C, which every process of the terminal receives.
    Interrupt,
    /// A signal sent to this process alone.
    Terminate,
}

#[cfg(unix)]
impl SignalStream {
    /// Starts listening: from now on, these signals no longer end the process.
    pub(super) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next stop signal.
    pub(super) async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.hangup.recv() => StopSignal::Terminate,
        }
    }
}
