//! The model server behind in-memory pipes: accepts connections and serves them in the mood of the moment.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use minidom::Element;
use portcullis::xmpp::link::{Cause, Connection, Dial};
use portcullis::xmpp::payload::hook::NS_HOOK;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::chance::Chance;
use super::model::{Effect, HOST, Make, Model};
use crate::support::scripted::{DOMAIN, Heard, Peer};

/// Bytes that wait unread in each direction.
const WINDOW: usize = 16 * 1024;
/// The module says hello this often.
const HELLO: Duration = Duration::from_secs(60);

/// How the server behaves at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Every answer comes within so many milliseconds, in any order.
    Well(u64),
    /// Half-open: bytes are accepted, nothing is done, nothing is answered.
    HalfOpen,
    /// Everything is carried out and nothing is answered.
    Mute,
    /// Every third answer is lost.
    Forgetful,
    /// It waits so many milliseconds before it reads each stanza.
    Slow(u64),
    /// It accepts connections and never answers the handshake.
    Greetless,
    /// Nobody listens.
    Down,
    /// Another program has the name: connections end with `conflict`.
    Conflict,
}

/// The server, as the schedule drives it.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) model: Arc<Mutex<Model>>,
    mood: watch::Sender<Mood>,
    /// Raised to end all connections.
    cut: watch::Sender<u64>,
    /// Raised when rights are withdrawn without a word.
    withdrawn: watch::Sender<u64>,
}

impl Server {
    pub(super) fn new(make: Make, has_module: bool) -> Server {
        Server {
            model: Arc::new(Mutex::new(Model::new(make, has_module))),
            mood: watch::Sender::new(Mood::Well(20)),
            cut: watch::Sender::new(0),
            withdrawn: watch::Sender::new(0),
        }
    }

    pub(super) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    pub(super) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
        if matches!(mood, Mood::Down | Mood::Conflict | Mood::Greetless) {
            self.cut();
        }
    }

    /// Ends all connections.
    pub(super) fn cut(&self) {
        self.cut.send_modify(|number| *number += 1);
    }

    /// All sessions of people and all connections end; what is stored stays.
    pub(super) fn restart(&self) {
        self.model().online.clear();
        self.cut();
    }

    /// Takes the rights of the present connections. New ones get them only if they are granted again.
    pub(super) fn withdraw(&self) {
        self.model().is_granting = false;
        self.withdrawn.send_modify(|number| *number += 1);
    }

    pub(super) fn grant_again(&self) {
        self.model().is_granting = true;
    }

    /// The way to this server for a link.
    pub(super) fn dial(&self, seed: u64) -> Dial {
        let server = self.clone();
        let mut chance = Chance::new(seed);
        Box::new(move || {
            let server = server.clone();
            let chance = chance.fork();
            Box::pin(async move {
                if *server.mood.borrow() == Mood::Down {
                    return Err(Cause::Connect {
                        server: String::from("model"),
                        error: String::from("refused"),
                    });
                }
                let (ours, theirs) = tokio::io::duplex(WINDOW);
                tokio::spawn(server.serve(theirs, chance));
                Ok(Connection::pipe(ours))
            })
        })
    }

    async fn serve(self, line: DuplexStream, chance: Chance) {
        let mut cut = self.cut.subscribe();
        self.model().connections += 1;
        tokio::select! {
            _ = cut.changed() => {}
            () = self.talk(line, chance) => {}
        }
    }

    async fn talk(&self, line: DuplexStream, mut chance: Chance) {
        let mood = || *self.mood.borrow();
        if matches!(mood(), Mood::Greetless | Mood::HalfOpen) {
            // The line stays open.
            let _line = line;
            std::future::pending::<()>().await;
            return;
        }
        let mut peer = Peer::new(line);
        peer.greet().await;
        if mood() == Mood::Conflict {
            peer.bail("conflict").await;
            return;
        }
        if !peer.try_say("<handshake/>").await {
            return;
        }
        let is_granted = self.model().is_granting;
        let mut withdrawn = self.withdrawn.subscribe();
        let mut is_privileged = is_granted;
        if is_granted {
            let grant = self.model().grant();
            sleep(Duration::from_millis(chance.below(100))).await;
            if !peer.try_say(&grant).await {
                return;
            }
            self.model().grants += 1;
        }
        let (out, mut outgoing) = mpsc::unbounded_channel::<String>();
        let mut module = Module::new(out.clone());
        let mut forgotten = 0_u32;
        // After a pause the server reads the next stanza.
        let mut next_read = Instant::now();
        loop {
            let has_module = self.model().has_module && mood() != Mood::HalfOpen;
            let heard = tokio::select! {
                biased;
                Some(text) = outgoing.recv() => {
                    // A server whose writer is stuck closes the connection some time.
                    match timeout(Duration::from_secs(60), peer.try_say(&text)).await {
                        Ok(true) => continue,
                        _ => return,
                    }
                }
                _ = withdrawn.changed() => { is_privileged = false; continue; }
                () = sleep_until(module.next), if has_module => { module.hello(&self.model()); continue; }
                heard = async { sleep_until(next_read).await; peer.hear_raw().await } => heard,
            };
            let element = match heard {
                Heard::Element(element) => element,
                Heard::Open(_) => continue,
                Heard::Close => {
                    let _ = peer.try_say("</stream:stream>").await;
                    return;
                }
                Heard::End => return,
            };
            let mood = mood();
            if let Mood::Slow(millis) = mood {
                next_read = Instant::now() + Duration::from_millis(millis);
            }
            if mood == Mood::HalfOpen {
                self.model().stanzas += 1;
                continue;
            }
            if module.takes(&element, &mut self.model()) {
                continue;
            }
            // Prosody's rights are in its configuration; a connection keeps none of its own.
            let effect = {
                let mut model = self.model();
                let is_granted = match model.make {
                    Make::Prosody => model.is_granting,
                    _ => is_privileged,
                };
                model.take(&element, is_granted)
            };
            let answer = match effect {
                Effect::Nothing => continue,
                Effect::Answer(answer) => answer,
                Effect::Sync => {
                    module.sync(&self.model());
                    let (id, from) = (element.attr("id").unwrap(), element.attr("from").unwrap());
                    format!("<iq type='result' id='{id}' from='{HOST}/portcullis' to='{from}'/>")
                }
            };
            let most = match mood {
                Mood::Mute => continue,
                Mood::Forgetful => {
                    forgotten += 1;
                    if forgotten.is_multiple_of(3) {
                        continue;
                    }
                    3_000
                }
                Mood::Well(most) => most,
                _ => 50,
            };
            // Announcements and pings of the link keep their order, as on real servers.
            if element.name() == "message" || element.has_child("ping", "urn:xmpp:ping") {
                let _ = out.send(answer);
                continue;
            }
            let (out, delay) = (
                out.clone(),
                Duration::from_millis(chance.below(most.max(1))),
            );
            tokio::spawn(async move {
                sleep(delay).await;
                let _ = out.send(answer);
            });
        }
    }
}

/// The hook module's side of a connection.
struct Module {
    out: mpsc::UnboundedSender<String>,
    next: Instant,
    number: u64,
}

impl Module {
    fn new(out: mpsc::UnboundedSender<String>) -> Self {
        Module {
            out,
            next: Instant::now() + Duration::from_millis(300),
            number: 0,
        }
    }

    fn ask(&mut self, type_: &str, kind: &str, payload: &str) {
        self.number += 1;
        let number = self.number;
        let _ = self.out.send(format!(
            "<iq type='{type_}' id='{kind}-{number}' from='{HOST}/portcullis' to='{DOMAIN}'>{payload}</iq>"
        ));
    }

    fn hello(&mut self, model: &Model) {
        self.next = Instant::now() + HELLO;
        let held = held(model, "seq");
        let bans = model.held.len();
        self.ask("set", "hello", &format!(
            "<hello xmlns='{NS_HOOK}' software='model' version='1' module='1' node='n1' bans='{bans}' health='ok'{held}/>"
        ));
    }

    fn sync(&mut self, model: &Model) {
        let held = held(model, "since");
        self.ask("get", "sync", &format!("<sync xmlns='{NS_HOOK}'{held}/>"));
    }

    /// Takes an answer to the module; returns whether it was one.
    fn takes(&mut self, stanza: &Element, model: &mut Model) -> bool {
        let is_answer = matches!(stanza.attr("type"), Some("result" | "error"));
        if !is_answer || stanza.name() != "iq" || !model.has_module {
            return false;
        }
        let Some(payload) = stanza
            .children()
            .next()
            .filter(|payload| payload.has_ns(NS_HOOK))
        else {
            return false;
        };
        model.stanzas += 1;
        match payload.name() {
            "welcome" => {
                let seq: u64 = payload.attr("seq").unwrap().parse().unwrap();
                let epoch = payload.attr("epoch").unwrap();
                let is_behind = match &model.epoch {
                    Some((known, at)) => known != epoch || *at < seq,
                    None => true,
                };
                if is_behind {
                    self.sync(model);
                }
            }
            "changes" if model.learn(payload) => self.sync(model),
            _ => {}
        }
        true
    }
}

/// The attributes that name what the module holds.
fn held(model: &Model, name: &str) -> String {
    match &model.epoch {
        Some((epoch, seq)) => format!(" epoch='{epoch}' {name}='{seq}'"),
        None => String::new(),
    }
}
