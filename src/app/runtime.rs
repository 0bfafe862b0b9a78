//! The running tasks, and the order in which they stop: from the outside in.

use std::future::Future;

use futures::future::BoxFuture;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::LAST_WORK;
use crate::xmpp::link::Fatal;

/// Tasks that stop together.
pub(super) struct Tasks {
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Tasks {
            stop: CancellationToken::new(),
            running: JoinSet::new(),
        }
    }

    /// Starts a task. It must end when the token is cancelled.
    pub(super) fn spawn<F>(&mut self, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.running.spawn(task(self.stop.clone()));
    }

    /// Waits until one of the tasks panics, and returns how; possibly never.
    async fn panicked(&mut self) -> JoinError {
        loop {
            match self.running.join_next().await {
                Some(Err(why)) => return why,
                Some(Ok(())) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Cancels all tasks and waits for them, until none ends within [`LAST_WORK`]; those are abandoned.
    async fn end(mut self) {
        self.stop.cancel();
        while let Ok(Some(_)) = tokio::time::timeout(LAST_WORK, self.running.join_next()).await {}
        self.running.detach_all();
    }
}

/// A task without which the program cannot go on. If it ends before it is cancelled, the program stops.
pub(super) struct Vital<T> {
    stop: CancellationToken,
    running: JoinHandle<T>,
}

impl<T: Send + 'static> Vital<T> {
    pub(super) fn spawn<F>(task: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let running = tokio::spawn(task(stop.clone()));
        Vital { stop, running }
    }

    async fn end(self) {
        self.stop.cancel();
        // A task that ended by itself was already awaited, and a handle can be awaited only once.
        if !self.running.is_finished() {
            let _ = tokio::time::timeout(LAST_WORK, self.running).await;
        }
    }
}

/// All running tasks. They stop in the order of the fields, except for `routing`.
pub(super) struct Runtime {
    /// Listeners for people and programs: the local socket and HTTP.
    pub(super) listeners: Tasks,
    /// Says goodbye (presence) to everybody, after the listeners were cancelled.
    pub(super) farewell: BoxFuture<'static, ()>,
    /// Background tasks.
    pub(super) workers: Tasks,
    /// The link to the XMPP server.
    pub(super) link: Vital<Result<(), Fatal>>,
    /// Routes stanzas from the link. It is cancelled with the listeners, and ends with the link after its last
    /// stanzas.
    pub(super) routing: Tasks,
    /// Saves the counters. It stops after routing, so that the last answered login is saved.
    pub(super) counting: Tasks,
    /// Folds the log of decisions.
    pub(super) following: Vital<anyhow::Result<()>>,
    /// Closes the store. Blocks.
    pub(super) close: Box<dyn FnOnce() + Send>,
}

impl Runtime {
    /// Waits until a vital task ends by itself or any task panics, and returns why; possibly never. Without the
    /// panicked task the program would go on and no longer do what it says, such as telling people.
    pub(super) async fn broken(&mut self) -> anyhow::Error {
        tokio::select! {
            ended = &mut self.link.running => match ended {
                Ok(Err(fatal)) => anyhow::Error::new(fatal),
                Ok(Ok(())) => anyhow::anyhow!("the link to the server ended by itself"),
                Err(why) => anyhow::anyhow!("the task of the link to the server panicked: {why}"),
            },
            ended = &mut self.following.running => match ended {
                Ok(Err(why)) => why,
                Ok(Ok(())) => anyhow::anyhow!("the log of decisions ended by itself"),
                Err(why) => anyhow::anyhow!("the task that follows the log panicked: {why}"),
            },
            why = self.listeners.panicked() => anyhow::anyhow!("a listener panicked: {why}"),
            why = self.workers.panicked() => anyhow::anyhow!("a task panicked: {why}"),
            why = self.routing.panicked() => anyhow::anyhow!("the router panicked: {why}"),
            why = self.counting.panicked() => anyhow::anyhow!("the keeper of the counters panicked: {why}"),
        }
    }

    /// Stops everything. A task that does not end within [`LAST_WORK`] is abandoned.
    pub(super) async fn stop(self) {
        self.routing.stop.cancel();
        self.listeners.stop.cancel();
        self.farewell.await;
        self.listeners.end().await;
        self.workers.end().await;
        self.link.end().await;
        self.routing.end().await;
        self.counting.end().await;
        self.following.end().await;
        let _ = tokio::task::spawn_blocking(self.close).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use futures::FutureExt;

    use super::*;
    use crate::xmpp::link::Cause;

    /// The names of ended tasks, in order.
    #[derive(Clone, Default)]
    struct Ended(Arc<Mutex<Vec<&'static str>>>);

    impl Ended {
        fn note(&self, name: &'static str) {
            self.0.lock().unwrap().push(name);
        }

        /// A task that records its end, some time after it was cancelled.
        fn task(
            &self,
            name: &'static str,
        ) -> impl FnOnce(CancellationToken) -> BoxFuture<'static, ()> {
            let ended = self.clone();
            move |stop| {
                async move {
                    stop.cancelled().await;
                    tokio::time::sleep(LAST_WORK / 2).await;
                    ended.note(name);
                }
                .boxed()
            }
        }

        fn runtime(&self) -> Runtime {
            let tasks = |name| {
                let mut tasks = Tasks::new();
                tasks.spawn(self.task(name));
                tasks
            };
            let (farewell, close) = (self.clone(), self.clone());
            let (link, log) = (self.task("link"), self.task("log"));
            Runtime {
                listeners: tasks("listeners"),
                farewell: async move { farewell.note("farewell") }.boxed(),
                workers: tasks("workers"),
                link: Vital::spawn(|stop| link(stop).map(Ok)),
                routing: tasks("routing"),
                counting: tasks("counting"),
                following: Vital::spawn(|stop| log(stop).map(Ok)),
                close: Box::new(move || close.note("store")),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn everything_stops_from_the_outside_in() {
        let ended = Ended::default();
        ended.runtime().stop().await;
        let order = ended.0.lock().unwrap().clone();
        let routing = order.iter().position(|name| *name == "routing").unwrap();
        assert!(routing > 0, "the farewell goes out first: {order:?}");
        let others: Vec<_> = order
            .into_iter()
            .filter(|name| *name != "routing")
            .collect();
        assert_eq!(
            others,
            [
                "farewell",
                "listeners",
                "workers",
                "link",
                "counting",
                "log",
                "store"
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_holds_nothing_up_for_long() {
        let ended = Ended::default();
        let mut runtime = ended.runtime();
        runtime.workers.spawn(|_| std::future::pending());
        let before = tokio::time::Instant::now();
        runtime.stop().await;
        assert!(ended.0.lock().unwrap().ends_with(&["store"]));
        assert!(before.elapsed() < LAST_WORK * 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_of_any_task_ends_the_program() {
        let ended = Ended::default();
        let mut runtime = ended.runtime();
        runtime.workers.spawn(|_| async {});
        runtime.workers.spawn(|_| async { panic!("a bug") });
        let why = tokio::time::timeout(LAST_WORK, runtime.broken())
            .await
            .unwrap();
        assert!(why.to_string().contains("a task panicked"), "{why}");
        runtime.stop().await;
        assert!(ended.0.lock().unwrap().ends_with(&["log", "store"]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_secret_ends_the_program_and_the_rest_still_stops() {
        let ended = Ended::default();
        let mut runtime = ended.runtime();
        let refused = || {
            Fatal(Cause::WrongSecret {
                domain: "bans.example".to_owned(),
            })
        };
        runtime.link = Vital::spawn(|_| async move { Err(refused()) });
        let why = runtime.broken().await;
        assert!(why.downcast_ref::<Fatal>().is_some(), "{why}");
        runtime.stop().await;
        assert!(ended.0.lock().unwrap().ends_with(&["log", "store"]));
    }
}
