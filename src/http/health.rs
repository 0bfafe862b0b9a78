//! Health checks: does the process work (`/healthz`), and is it ready (`/readyz`)?
//!
//! `/healthz` is for a supervisor that restarts a hanging process. It ignores the XMPP server, because restarting us
//! would not help that. `/readyz` is for anybody who waits until bans are in force.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::sync::watch;

/// Maximum number of detail lines.
const MAX_DETAIL: usize = 32;

/// What the server lets us do (XEP-0356), as far as we know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrantState {
    /// Not asked yet, or no answer yet.
    #[default]
    Unknown,
    /// The server grants everything needed.
    Seen,
    /// The server grants too little: bans are stored, but not all of them can be carried out.
    Missing,
}

/// Whether the program is ready. `app` writes it, `/readyz` reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Whether the component link is up.
    pub link: bool,
    /// What the server grants.
    pub grants: GrantState,
    /// Whether the bans were read from the store.
    pub ledger: bool,
    /// Whether the store takes no decisions.
    pub store_fails: bool,
    /// Whether another program is connected under our name.
    pub conflict: bool,
    /// Additional lines, ready or not. They are public: no secrets, no accounts.
    pub detail: Vec<String>,
}

impl Readiness {
    /// Whether the link is up and ours alone, the grants are known (even if too few), the ledger is loaded, and the store
    /// takes decisions.
    pub fn is_ready(&self) -> bool {
        let is_known = self.grants != GrantState::Unknown;
        self.link && is_known && self.ledger && !self.store_fails && !self.conflict
    }

    /// What is missing, as sentences. Missing grants are reported but do not prevent readiness.
    pub fn missing(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if !self.ledger {
            missing.push("the bans are not loaded yet");
        }
        if !self.link {
            missing.push("the link to the XMPP server is down");
        }
        if self.conflict {
            missing.push(
                "another program is connected under the same component name; stop one of them",
            );
        }
        if self.store_fails {
            missing.push("the store takes no decisions; see the log and make room on its disk");
        }
        match self.grants {
            GrantState::Unknown if self.link => {
                missing.push("the server has not said yet what it grants (XEP-0356)")
            }
            GrantState::Missing => missing
                .push("the server does not grant all that is needed; run `portcullis doctor`"),
            GrantState::Unknown | GrantState::Seen => {}
        }
        missing
    }

    /// The body of `/readyz`.
    fn text(&self) -> String {
        let mut text = String::from(if self.is_ready() {
            "ready\n"
        } else {
            "not ready\n"
        });
        let detail = self.detail.iter().take(MAX_DETAIL).map(String::as_str);
        for line in self.missing().into_iter().chain(detail) {
            text.push_str("- ");
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// The routes `/healthz` and `/readyz`.
pub(super) fn routes(readiness: watch::Receiver<Readiness>) -> Router {
    Router::new()
        .route("/healthz", get(async || ([NO_STORE], "alive\n")))
        .route("/readyz", get(readyz))
        .with_state(readiness)
}

const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

async fn readyz(State(readiness): State<watch::Receiver<Readiness>>) -> impl IntoResponse {
    let readiness = readiness.borrow();
    let status = if readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, [NO_STORE], readiness.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_needs_link_and_ledger_and_an_answer_about_grants() {
        for link in [false, true] {
            for ledger in [false, true] {
                for grants in [GrantState::Unknown, GrantState::Seen, GrantState::Missing] {
                    let readiness = Readiness {
                        link,
                        grants,
                        ledger,
                        ..Readiness::default()
                    };
                    let want = link && ledger && grants != GrantState::Unknown;
                    assert_eq!(readiness.is_ready(), want, "{readiness:?}");
                    assert_eq!(
                        readiness.missing().is_empty(),
                        want && grants == GrantState::Seen,
                        "{readiness:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_text_says_what_is_missing() {
        let start = Readiness::default();
        assert_eq!(
            start.text(),
            "not ready\n- the bans are not loaded yet\n- the link to the XMPP server is down\n"
        );
        let detail = vec!["ejabberd 26.07".to_owned()];
        let poor = Readiness {
            link: true,
            grants: GrantState::Missing,
            ledger: true,
            detail,
            ..Readiness::default()
        };
        assert_eq!(
            poor.text(),
            "ready\n- the server does not grant all that is needed; run `portcullis doctor`\n- ejabberd 26.07\n"
        );
    }

    #[test]
    fn two_programs_of_one_name_are_not_ready() {
        let split = Readiness {
            link: true,
            grants: GrantState::Seen,
            ledger: true,
            conflict: true,
            ..Readiness::default()
        };
        assert_eq!(
            split.text(),
            "not ready\n- another program is connected under the same component name; stop one of them\n"
        );
    }

    #[test]
    fn the_detail_is_bounded() {
        let readiness = Readiness {
            detail: vec!["x".to_owned(); 1000],
            ..Readiness::default()
        };
        assert_eq!(readiness.text().matches("- x\n").count(), MAX_DETAIL);
    }
}
