//! Signals: SIGTERM and SIGINT stop, SIGHUP reloads.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::reload::Reload;
use super::runtime::Runtime;

/// The signals we handle. Installed before anything else starts, because an unhandled signal ends the process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn take() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// Runs until a vital task ends or a signal asks to stop; then stops everything in order.
///
/// # Errors
/// The reason why a vital task ended.
pub(super) async fn watch(
    signals: Signals,
    mut runtime: Runtime,
    mut reload: Reload,
) -> anyhow::Result<()> {
    let Signals {
        mut terminate,
        mut interrupt,
        mut hang_up,
    } = signals;
    let ended = loop {
        tokio::select! {
            why = runtime.broken() => break Err(why),
            _ = terminate.recv() => break Ok("SIGTERM"),
            _ = interrupt.recv() => break Ok("SIGINT"),
            _ = hang_up.recv() => reload.again().await,
        }
    };
    if let Ok(signal) = &ended {
        tracing::info!(signal, "stopping");
    }
    runtime.stop().await;
    tracing::info!("stopped");
    ended.map(|_| ())
}
