//! SIGTERM and SIGINT stop, SIGHUP reloads.

use tokio::signal::unix::{SignalKind, signal};

use super::House;
use super::reload::Reload;

/// Runs the house until it breaks or a signal says stop; then stops it in order.
pub(super) async fn watch(mut house: House, mut reload: Reload) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let ended = loop {
        tokio::select! {
            why = house.broken() => break Err(why),
            _ = terminate.recv() => break Ok("SIGTERM"),
            _ = interrupt.recv() => break Ok("SIGINT"),
            _ = hang_up.recv() => reload.again().await,
        }
    };
    if let Ok(signal) = &ended {
        tracing::info!(signal, "stopping");
    }
    house.stop().await;
    tracing::info!("stopped");
    ended.map(|_| ())
}
