//! All that runs, and how it is stopped.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::LAST_WORK;
use super::tasks::send;
use crate::front::Desk;
use crate::store::Store;
use crate::xmpp::link::Fatal;
use crate::xmpp::wire::Wire;

/// Tasks and the tokens that end them, in the order in which they are ended.
pub(super) struct House {
    pub(super) doors: CancellationToken,
    pub(super) works: CancellationToken,
    pub(super) link: CancellationToken,
    pub(super) log: CancellationToken,
    pub(super) at_the_doors: Vec<JoinHandle<()>>,
    pub(super) working: Vec<JoinHandle<()>>,
    pub(super) routing: JoinHandle<()>,
    pub(super) counting: JoinHandle<()>,
    pub(super) linked: JoinHandle<Result<(), Fatal>>,
    pub(super) following: JoinHandle<anyhow::Result<()>>,
    pub(super) store: Arc<Store>,
    pub(super) desk: Arc<Desk>,
    pub(super) wire: Wire,
}

impl House {
    /// Waits until a part ends that must not end, or for ever.
    pub(super) async fn broken(&mut self) -> anyhow::Error {
        tokio::select! {
            ended = &mut self.linked => match ended {
                Ok(Err(fatal)) => anyhow::Error::new(fatal),
                Ok(Ok(())) => anyhow::anyhow!("the link to the server ended by itself"),
                Err(why) => anyhow::anyhow!("the link to the server failed inside: {why}"),
            },
            ended = &mut self.following => match ended {
                Ok(Err(why)) => why,
                Ok(Ok(())) => anyhow::anyhow!("the log of decisions ended by itself"),
                Err(why) => anyhow::anyhow!("following the log failed inside: {why}"),
            },
        }
    }

    /// Stops everything, from the outside in.
    pub(super) async fn stop(self) {
        self.doors.cancel();
        send(&self.wire, self.desk.farewell()).await;
        finish(self.at_the_doors).await;
        self.works.cancel();
        finish(self.working).await;
        self.link.cancel();
        // One that broke has been waited for already, and a handle gives its end only once.
        if !self.linked.is_finished() {
            let _ = tokio::time::timeout(LAST_WORK, self.linked).await;
        }
        // Ends with the link, whose last stanzas it takes.
        finish(vec![self.routing]).await;
        self.log.cancel();
        // After the last login that a module was told we have counted.
        finish(vec![self.counting]).await;
        if !self.following.is_finished() {
            let _ = tokio::time::timeout(LAST_WORK, self.following).await;
        }
        let store = self.store;
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

async fn finish(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        let _ = tokio::time::timeout(LAST_WORK, task).await;
    }
}
