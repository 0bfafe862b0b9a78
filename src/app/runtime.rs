//! All that runs, and the order in which it stops: from the outside in.

use std::future::Future;

use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::LAST_WORK;
use crate::xmpp::link::Fatal;

/// Tasks that are told to end together.
pub(super) struct Tasks {
    stop: CancellationToken,
    running: Vec<JoinHandle<()>>,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Tasks {
            stop: CancellationToken::new(),
            running: Vec::new(),
        }
    }

    /// Starts a task, which is given the token that tells it to end.
    pub(super) fn spawn<F>(&mut self, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.running.push(tokio::spawn(task(self.stop.clone())));
    }

    /// Tells all of them to end and waits, for each no longer than [`LAST_WORK`].
    async fn end(self) {
        self.stop.cancel();
        for task in self.running {
            let _ = tokio::time::timeout(LAST_WORK, task).await;
        }
    }
}

/// A task the program cannot do without: it runs until it is told to end.
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
        // One that broke has been waited for already, and a handle gives its end only once.
        if !self.running.is_finished() {
            let _ = tokio::time::timeout(LAST_WORK, self.running).await;
        }
    }
}

/// Everything that runs, in the order in which it stops.
pub(super) struct Runtime {
    /// What lets people and programs in: the local socket and HTTP.
    pub(super) listeners: Tasks,
    /// What is said to everybody when nobody new is let in.
    pub(super) farewell: BoxFuture<'static, ()>,
    /// What works by itself.
    pub(super) workers: Tasks,
    /// The link to the server.
    pub(super) link: Vital<Result<(), Fatal>>,
    /// Hands on what the link brings. It is told to end with the listeners, and ends with the link, whose last stanzas
    /// it takes.
    pub(super) routing: Tasks,
    /// Saves the counters, the last time after the last login that was answered.
    pub(super) counting: Tasks,
    /// Follows the log of decisions.
    pub(super) following: Vital<anyhow::Result<()>>,
    /// Closes the store; blocks.
    pub(super) close: Box<dyn FnOnce() + Send>,
}

impl Runtime {
    /// Waits until a vital task ends by itself, possibly for ever.
    pub(super) async fn broken(&mut self) -> anyhow::Error {
        tokio::select! {
            ended = &mut self.link.running => match ended {
                Ok(Err(fatal)) => anyhow::Error::new(fatal),
                Ok(Ok(())) => anyhow::anyhow!("the link to the server ended by itself"),
                Err(why) => anyhow::anyhow!("the link to the server failed inside: {why}"),
            },
            ended = &mut self.following.running => match ended {
                Ok(Err(why)) => why,
                Ok(Ok(())) => anyhow::anyhow!("the log of decisions ended by itself"),
                Err(why) => anyhow::anyhow!("following the log failed inside: {why}"),
            },
        }
    }

    /// Stops everything. A task that does not end within [`LAST_WORK`] is left behind.
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

    /// What ended, in order.
    #[derive(Clone, Default)]
    struct Ended(Arc<Mutex<Vec<&'static str>>>);

    impl Ended {
        fn note(&self, name: &'static str) {
            self.0.lock().unwrap().push(name);
        }

        /// A task that notes its end, some time after it was told to.
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
