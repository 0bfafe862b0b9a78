//! `portcullis doctor`: reports what the server lets portcullis do, what is missing, and the configuration lines to
//! add.
//!
//! A running portcullis is asked over its local socket. Only if none runs on this store, doctor connects to the
//! server itself: on ejabberd a second stream would take the privileges from the first.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::WRONG;
use crate::command::phrases;
use crate::config::Config;
use crate::core::Timestamp;
use crate::delivery::ports::{Enforcement, Enforcer};
use crate::enforce::XmppServer;
use crate::engine::clock::Clock;
use crate::front::terminal::Client;
use crate::front::terminal::wire::{Question, RemoteAnswer};
use crate::store;
use crate::xmpp::iq::{Asker, Routed};
use crate::xmpp::link::{Fatal, Incoming, Link};
use crate::xmpp::payload::hook;
use crate::xmpp::stanza::Received;

/// How long the server may take to accept the link and answer the probes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait for the hello of a hook module. ejabberd's module looks for a component once a second.
const MODULES: Duration = Duration::from_secs(2);

/// Prints the state of enforcement, as JSON if `json`. Exit code 0: bans are enforced, on every virtual host alike; 1:
/// they are not, or portcullis does not run although it was started before, or less on some virtual host than on another, or another program has our name; 2: the server refuses the
/// settings.
pub fn doctor(config: &Config, json: bool) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(why) => {
            eprintln!("portcullis: cannot start: {why}");
            return ExitCode::FAILURE;
        }
    };
    let (standing, running) = match runtime.block_on(examine(config)) {
        Ok(found) => found,
        Err(why) => {
            eprintln!("portcullis: {why:#}");
            return match why.downcast_ref::<Fatal>() {
                Some(_) => ExitCode::from(WRONG),
                None => ExitCode::FAILURE,
            };
        }
    };
    let written = if json {
        serde_json::to_string_pretty(&DoctorFacts {
            running: running != RunState::No && running != RunState::NotYet,
            standing: &standing,
        })
        .map_err(std::io::Error::from)
        .and_then(|text| crate::cli::print(&text))
    } else {
        let text = told(&standing, &stored(config), running);
        crate::cli::print(text.trim_end())
    };
    if let Err(why) = written {
        eprintln!("portcullis: cannot write the answer: {why}");
        return ExitCode::FAILURE;
    }
    let is_enforced = standing.linked && standing.level > 0 && !standing.is_uneven();
    if is_enforced && standing.conflict.is_none() && running != RunState::No {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Whether portcullis runs on the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunState {
    Yes,
    /// There is a store, and no portcullis on it.
    No,
    /// There is no store: it was never started.
    NotYet,
}

impl RunState {
    /// Of a store that no portcullis runs on.
    fn of_idle(store: &Path) -> RunState {
        match store::is_new(store) {
            true => RunState::NotYet,
            false => RunState::No,
        }
    }
}

/// The answer for programs.
#[derive(serde::Serialize)]
struct DoctorFacts<'a> {
    running: bool,
    #[serde(flatten)]
    standing: &'a Enforcement,
}

async fn examine(config: &Config) -> anyhow::Result<(Enforcement, RunState)> {
    let silent = "a portcullis runs on this store but does not answer at its local socket";
    let Some(mut running) = Client::connect(&config.store).await.context(silent)? else {
        let running = RunState::of_idle(&config.store);
        let probed = probe(config).await;
        let why = || not_running(running).map_or("", |(does_not_run, _)| does_not_run);
        return Ok((probed.with_context(why)?, running));
    };
    match running
        .ask(&Question::Standing {}, |_| {})
        .await
        .context(silent)?
    {
        RemoteAnswer::Standing(standing) => Ok((standing, RunState::Yes)),
        RemoteAnswer::Wrong(why) => anyhow::bail!("the running portcullis says: {why}"),
        _ => anyhow::bail!("the running portcullis is another version"),
    }
}

/// Connects to the server and waits until the probes are answered.
async fn probe(config: &Config) -> anyhow::Result<Enforcement> {
    let (link, wire, mut incoming) = Link::new(config.link.clone());
    let asker = Asker::new(wire.clone());
    let host = XmppServer::new(asker.clone(), config.server.clone());
    let mut standing = host.standing();
    let stop = CancellationToken::new();
    let probing = tokio::spawn(Arc::clone(&host).run(stop.clone()));
    let mut linked = tokio::spawn(link.run(stop.clone()));
    let mut probed = false;
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            tokio::select! {
                arrived = incoming.recv() => match arrived {
                    Some(Incoming::Up) => host.link_up(),
                    Some(Incoming::Down { .. }) => host.link_down(),
                    Some(Incoming::Unreadable { from, id }) => asker.unreadable(&from, &id),
                    Some(Incoming::Stanza(received, _)) => {
                        if let Routed::NotMine(received) = asker.route(received)
                            && !host.take(&received)
                        {
                            note_module(&host, &received);
                        }
                    }
                    None => {}
                },
                changed = standing.changed() => {
                    changed.context("the probes ended by themselves")?;
                    let now = Arc::clone(&standing.borrow_and_update());
                    probed = now.probed;
                    if now.probed && now.level == 2 {
                        return Ok((*now).clone());
                    }
                }
                () = tokio::time::sleep(MODULES), if probed => return Ok((**standing.borrow()).clone()),
                ended = &mut linked => return match ended {
                    Ok(Err(fatal)) => Err(anyhow::Error::new(fatal)),
                    _ => Err(anyhow::anyhow!("the link to the server ended by itself")),
                },
            }
        }
    })
    .await;
    let trouble = wire.trouble();
    stop.cancel();
    let _ = tokio::time::timeout(Duration::from_secs(2), probing).await;
    match found {
        Ok(found) => found,
        Err(_) => match trouble {
            Some(trouble) => Err(anyhow::Error::msg(trouble)),
            None => anyhow::bail!(
                "component.server = {:?} does not answer our questions",
                config.link.server.to_string()
            ),
        },
    }
}

/// Records the hello of a hook module without answering it, so that the module repeats it to the portcullis that will
/// run.
fn note_module(host: &XmppServer, received: &Received) {
    let hello = received
        .payload()
        .filter(|payload| payload.has_ns(hook::NS_HOOK));
    let from = &received.header.from;
    if let Some(Ok(hook::HookRequest::Hello(hello))) =
        hello.map(|hello| hook::HookRequest::read(hello, false, Timestamp::from_millis(0)))
        && host.believes(from)
    {
        host.heard(from, hello, 0, Clock::system().now());
    }
}

/// Where decisions are stored, and by which engine.
fn stored(config: &Config) -> String {
    let path = config.store.display();
    match store::engine_of(&config.store, config.store_engine) {
        Some(engine) => format!("{engine}, in {path}"),
        None => format!("none yet in {path}"),
    }
}

/// That portcullis does not run, and what follows from it; `None` if it runs.
fn not_running(running: RunState) -> Option<(&'static str, &'static str)> {
    match running {
        RunState::Yes => None,
        RunState::No => Some((
            "portcullis is NOT RUNNING",
            "No login is judged by it, and no ban is carried out or ended. What follows is what the server would let it do",
        )),
        RunState::NotYet => Some((
            "portcullis was not started yet on this store",
            "What follows is what the server would let it do",
        )),
    }
}

/// The state of enforcement as text for people.
fn told(standing: &Enforcement, stored: &str, running: RunState) -> String {
    let mut text =
        not_running(running).map_or_else(String::new, |(why, means)| format!("{why}. {means}.\n"));
    text.push_str(&format!(
        "Server: {}\nLevel:  {}\nStore:  {stored}\n",
        phrases::server(standing),
        phrases::level(standing)
    ));
    if let Some(conflict) = &standing.conflict {
        text.push_str(&format!("  wrong    {}\n", phrases::conflict(conflict)));
    }
    for has in &standing.has {
        text.push_str(&format!("  ok       {has}\n"));
    }
    let gaps = standing.gaps.iter().map(|gap| ("missing", gap));
    let warnings = standing.warnings.iter().map(|gap| ("warning", gap));
    for (word, gap) in gaps.chain(warnings) {
        text.push_str(&format!("  {word}  {}\n", phrases::gap(gap)));
        for line in gap.remedy.lines() {
            text.push_str(&format!("           {line}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_line_says_that_portcullis_does_not_run() {
        let told = |running| super::told(&Enforcement::default(), "redb", running);
        assert!(told(RunState::Yes).starts_with("Server:"));
        assert!(told(RunState::No).starts_with("portcullis is NOT RUNNING"));
        assert!(told(RunState::NotYet).starts_with("portcullis was not started yet"));
    }

    #[test]
    fn a_store_that_lost_the_files_of_its_engine_was_started_before() {
        let folder = tempfile::tempdir().unwrap();
        let idle = |name: &str| RunState::of_idle(&folder.path().join(name));
        assert_eq!(idle("none"), RunState::NotYet);
        assert_eq!(idle(""), RunState::NotYet);
        std::fs::write(folder.path().join("head"), "").unwrap();
        assert_eq!(idle(""), RunState::No);
    }
}
