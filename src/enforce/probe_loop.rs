//! Probes the server when the link comes up, every few minutes, and when something does not fit what was found. It
//! also notices lost rights that only a new connection brings back.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::XmppServer;
use super::privilege::Right;
use super::probe::{HostCapabilities, Software, probe, still_answers};
use super::server::ServerState;

/// Grants come in a burst; after this pause it is over.
const GRANT_PAUSE: Duration = Duration::from_millis(200);
/// How often the time doubles until another connection is tried because rights are granted and never worked: from
/// five minutes to a day.
const MUTE_DOUBLINGS: u32 = 8;

impl XmppServer {
    /// Resolves when only a new connection can bring our rights back: ejabberd withdraws them without notice, for
    /// example when a second connection of the same component ends.
    pub async fn reconnect_wanted(&self) {
        self.reconnect.notified().await;
    }

    /// Probes the server whenever the link comes up, and every few minutes.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = self.keep_looking() => {}
        }
    }

    async fn keep_looking(&self) {
        let mut sessions = self.session.subscribe();
        let mut mute = 0;
        loop {
            let session = match sessions.wait_for(|session| *session != 0).await {
                Ok(session) => *session,
                Err(_) => return,
            };
            let mut other = self.session.subscribe();
            tokio::select! {
                _ = other.wait_for(|now| *now != session) => {}
                () = self.look_all_the_time(session, &mut mute) => {}
            }
        }
    }

    /// `mute`: the number of connections in a row that were given up because rights on them never worked.
    async fn look_all_the_time(&self, session: u64, mute: &mut u32) {
        self.wait_for_grants().await;
        let mut mute_since = None;
        loop {
            self.look(session).await;
            let worse = self.is_worse_off();
            if self.is_mute() {
                mute_since.get_or_insert_with(Instant::now);
            } else {
                (mute_since, *mute) = (None, 0);
            }
            let pause = if worse || self.is_unsure() {
                self.limits.regrant
            } else {
                self.limits.again
            };
            tokio::select! {
                () = self.doubt.notified() => {}
                () = sleep(pause) => {
                    let patience = self.limits.again * 2_u32.pow(*mute);
                    if worse {
                        tracing::warn!("rights that were granted before are missing; asking for a new connection");
                        self.reconnect.notify_one();
                    } else if mute_since.is_some_and(|since| since.elapsed() >= patience) {
                        *mute = (*mute + 1).min(MUTE_DOUBLINGS);
                        tracing::warn!("rights are granted and requests are not answered; asking for a new connection");
                        self.reconnect.notify_one();
                    }
                }
            }
        }
    }

    /// Whether the program that runs a virtual host is not known yet, e.g. because it was slow to answer.
    fn is_unsure(&self) -> bool {
        let state = self.state();
        let mut hosts = state.hosts.values();
        hosts.any(|host| host.granted && host.is_late && host.kind == Software::Unknown)
    }

    /// Whether a virtual host had a grant on an earlier connection, however short, and has none on this one; or one that let
    /// us change records before does not answer although it granted them. ejabberd withdraws the
    /// grants of a new connection if the old one ends after it began; only another connection brings them back.
    fn is_worse_off(&self) -> bool {
        let state = self.state();
        let mut ever = state.ever_granted.iter();
        ever.any(|vhost| {
            let is_silent = state.hosts.get(vhost).is_some_and(|host| {
                host.record == Right::Both && !host.answers && state.ever_changed.contains(vhost)
            });
            (is_silent || state.grants.of(vhost).is_none()) && self.matters(&state, vhost)
        })
    }

    /// Whether a virtual host granted the right to records and does not answer. Its grants may have been withdrawn without
    /// notice before they were used once; or `mod_private` is missing, which another connection does not change.
    fn is_mute(&self) -> bool {
        let state = self.state();
        let mut hosts = state.hosts.values();
        hosts.any(|host| {
            host.record == Right::Both && !host.answers && self.matters(&state, &host.vhost)
        })
    }

    /// Whether a virtual host justifies a new connection: the configuration names it, or a ban was enforced there.
    /// The parent domain of the component may be on another server, which could withdraw and grant as it likes.
    fn matters(&self, state: &ServerState, vhost: &str) -> bool {
        self.own.load().is_named(vhost) || state.ever_enforced.contains(vhost)
    }

    async fn wait_for_grants(&self) {
        let end = Instant::now() + self.limits.grants;
        let mut until = end;
        loop {
            if self.state().grants.vhosts().next().is_some() {
                until = end.min(Instant::now() + GRANT_PAUSE);
            }
            tokio::select! {
                () = self.granted.notified() => {}
                () = sleep_until(until) => return,
            }
        }
    }

    /// Probes every virtual host we know of.
    async fn look(&self, session: u64) {
        if self.has_lost_answers(session).await {
            tracing::warn!(
                "the server no longer answers requests it had allowed; asking for a new connection"
            );
            self.publish();
            self.reconnect.notify_one();
            return;
        }
        let found = self.probe_all().await;
        {
            let mut state = self.state();
            if *self.session.borrow() != session {
                return;
            }
            for mut host in found {
                if let Some(old) = state.hosts.get(&host.vhost) {
                    host.disables = host.disables.or(old.disables);
                    host.cookie = host.cookie.or(old.cookie);
                }
                // A late answer must not make Prosody look like another server.
                if host.kind == Software::Unknown {
                    host.kind = state.kinds.get(&host.vhost).copied().unwrap_or_default();
                } else {
                    state.kinds.insert(host.vhost.clone(), host.kind);
                }
                if host.keeps_records() || host.offers("reenable-user") {
                    state.ever_changed.insert(host.vhost.clone());
                }
                state.hosts.insert(host.vhost.clone(), host);
            }
            state.probed = true;
        }
        self.publish();
    }

    /// Whether a virtual host that answered before is silent now. When ejabberd withdraws rights without notice, it
    /// also drops our ordinary requests; only a new connection helps.
    async fn has_lost_answers(&self, session: u64) -> bool {
        let asked: Vec<_> = {
            let state = self.state();
            let answering = state.hosts.values().filter(|host| host.answers);
            answering
                .map(|host| (host.clone(), state.borrowed(&host.vhost)))
                .collect()
        };
        let checks = asked.iter().map(|(host, admin)| {
            let admin = admin.as_ref().map(|(admin, _)| admin);
            still_answers(
                &self.requests,
                host,
                admin,
                &self.nobody,
                self.limits.answer,
            )
        });
        let answers = join_all(checks).await;
        let mut state = self.state();
        if *self.session.borrow() != session {
            return false;
        }
        let silent = asked.iter().zip(&answers).filter(|(_, answers)| !**answers);
        let silent: Vec<&str> = silent.map(|((host, _), _)| host.vhost.as_str()).collect();
        for vhost in &silent {
            if let Some(host) = state.hosts.get_mut(*vhost) {
                host.answers = false;
            }
        }
        silent.iter().any(|vhost| self.matters(&state, vhost))
    }

    async fn probe_all(&self) -> Vec<HostCapabilities> {
        let asked = {
            let state = self.state();
            let own = self.own.load();
            own.all()
                .map(|vhost| {
                    let grant = state.grants.of(vhost).cloned();
                    let domain = state.spelled(vhost).to_owned();
                    (vhost.to_owned(), domain, grant, state.borrowed(vhost))
                })
                .collect::<Vec<_>>()
        };
        let probes = asked.iter().map(|(vhost, domain, grant, admin)| {
            let admin = admin.as_ref().map(|(admin, right)| (admin, *right));
            probe(
                &self.requests,
                vhost,
                domain,
                grant.as_ref(),
                admin,
                &self.nobody,
                self.limits.probe,
            )
        });
        // If the link goes down, the caller cancels this.
        join_all(probes)
            .await
            .into_iter()
            .filter_map(Result::ok)
            .collect()
    }
}
