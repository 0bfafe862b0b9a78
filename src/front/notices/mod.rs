//! Notices: tells people about events without being asked, and never more than they can read.
//!
//! Events arrive as values from [`news`](crate::news). The subscriptions are in the ledger ([`Watch`]), [`throttle`]
//! decides what is sent at once and what is summed up, and [`render`] finds the words. Nothing here changes anything,
//! and nobody waits for it.
//!
//! **Receivers.** A room gets notices while we are in it, if an admin chose topics for it. A person with a role gets
//! chat messages to the bare address, which the server stores for people who are offline. So that no mailbox
//! overflows, somebody who shows no activity (a receipt, a line, a presence, a form) gets at most
//! [`UNSEEN`](throttle::UNSEEN) messages a day, and a summary of the rest at the next activity. Events from a time
//! when the link is down, or from quiet hours, are sent afterwards.

mod digest;
mod render;
mod text;
pub mod throttle;
mod unconfirmed;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use minidom::Element;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_xmpp::Stanza;
use xmpp_parsers::jid::{BareJid, Jid};
use xmpp_parsers::message::{Id, Lang, Message, MessageType};

use super::bot::Bot;
use super::sent::{self, About};
use crate::command::phrases;
use crate::core::{Account, Rights, Role, Subject, Timestamp, Topic, Watch};
use crate::delivery::ports::Enforcement;
use crate::engine::Engine;
use crate::news::{News, Notification, NotificationFeed};
use crate::xmpp::payload::hints;
use crate::xmpp::wire::Wire;
use render::NoticeText;
use throttle::{Due, Throttle};
use unconfirmed::Unconfirmed;

pub use throttle::Settings;

/// Maximum number of events handled before messages are sent.
const AT_ONCE: usize = 256;
/// Maximum time between two checks of quiet hours and of people who are active again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// All receivers, and the bot that sends.
pub struct Notices {
    bot: Arc<Bot>,
    settings: ArcSwap<Settings>,
    throttles: Mutex<HashMap<BareJid, Throttle>>,
    /// Notified when somebody with held notices is active again, or when the work of a form is done.
    pub(super) wake: Arc<Notify>,
}

/// A possible receiver.
struct Recipient {
    jid: BareJid,
    is_room: bool,
    rights: Rights,
    watch: Watch,
}

impl Notices {
    /// No receivers yet; default settings.
    pub fn new(bot: Arc<Bot>) -> Arc<Notices> {
        Arc::new(Notices {
            bot,
            settings: ArcSwap::default(),
            throttles: Mutex::default(),
            wake: Arc::default(),
        })
    }

    /// Replaces the rate limits of all receivers.
    pub fn set(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Records activity of somebody with a role.
    pub(super) fn seen(&self, jid: &Jid) {
        if let Some(throttle) = self.throttles().get_mut(&jid.to_bare()) {
            throttle.seen();
            self.wake.notify_one();
        }
    }

    fn throttles(&self) -> MutexGuard<'_, HashMap<BareJid, Throttle>> {
        self.throttles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles events; returns the messages to send now. `missed` are events per topic that did not fit into the
    /// queue; `can` says whether the link is up.
    pub fn offer(&self, news: &[Notification], missed: &[(Topic, u64)], can: bool) -> Vec<Stanza> {
        let engine = &self.bot.context.engine;
        let (now, settings) = (engine.now(), **self.settings.load());
        let recipients = self.recipients();
        let mut out = Vec::new();
        let mut throttles = self.throttles();
        throttles.retain(|jid, _| recipients.iter().any(|recipient| recipient.jid == *jid));
        for recipient in &recipients {
            let throttle = throttles.entry(recipient.jid.clone()).or_default();
            throttle.keep(|topic| recipient.watch.wants(topic));
            let can = can && can_receive(throttle, recipient, now);
            for told in news {
                let topic = told.news.topic();
                let Some(topic) = topic.filter(|topic| recipient.watch.wants(*topic)) else {
                    continue;
                };
                if is_own(&told.news, &recipient.jid) || !may_see(&recipient.rights, &told.news) {
                    continue;
                }
                let network = |net: IpNet| engine.policy().rules.reach.network(net.addr());
                let told = throttle.offer(told, topic, now, settings, can, |held| {
                    held.add(&told.news, now, network);
                });
                out.extend(told.and_then(|one| self.notice(recipient, throttle, &[one], now)));
            }
            for (topic, number) in missed {
                // The virtual hosts of missed events are unknown.
                if recipient.watch.wants(*topic) && recipient.rights.see_all() {
                    throttle.count_missed(*topic, *number, now, settings);
                }
            }
        }
        out
    }

    /// Messages that are due, or all held ones at the end of the program; and when to ask again. `None`: when something
    /// changes, or after a while; what is due and cannot be sent now is not a reason to ask at once.
    pub fn due(&self, can: bool, is_end: bool) -> (Vec<Stanza>, Option<Timestamp>) {
        let (now, settings) = (self.bot.context.engine.now(), **self.settings.load());
        let (mut out, mut next) = match can {
            true => self.unseen(now, is_end),
            false => (Vec::new(), None),
        };
        let mut throttles = self.throttles();
        for recipient in self.recipients() {
            let Some(throttle) = throttles.get_mut(&recipient.jid) else {
                continue;
            };
            throttle.keep(|topic| recipient.watch.wants(topic));
            if !can || !can_receive(throttle, &recipient, now) {
                continue;
            }
            let (ones, sums): (Vec<Due>, Vec<Due>) = throttle
                .due(now, settings, is_end)
                .into_iter()
                .partition(|out| matches!(out, Due::One(_)));
            for one in ones {
                out.extend(self.notice(&recipient, throttle, &[one], now));
            }
            if !sums.is_empty() {
                out.extend(self.notice(&recipient, throttle, &sums, now));
            }
            next = next.into_iter().chain(throttle.next()).min();
        }
        (out, next)
    }

    /// Results of forms that nobody refreshed.
    fn unseen(&self, now: Timestamp, is_end: bool) -> (Vec<Stanza>, Option<Timestamp>) {
        let (told, next) = self.bot.forms.unseen(now, is_end);
        let message = |(jid, text): (Jid, String)| {
            let jid = jid.to_bare();
            let id = sent::fresh_id();
            self.bot.sent.note(&jid, &id, &text, About::Nobody);
            Stanza::Message(self.unasked(&jid, id, text, Vec::new()))
        };
        (told.into_iter().map(message).collect(), next)
    }

    /// A message that is not the answer to a line.
    fn unasked(&self, jid: &BareJid, id: String, text: String, quick: Vec<Element>) -> Message {
        let mut message = Message::new_with_type(MessageType::Chat, Some(Jid::from(jid.clone())));
        message.from = Some(self.bot.jid.clone().into());
        message.id = Some(Id(id));
        message.bodies.insert(Lang::new(), text);
        message.payloads = quick;
        message.payloads.extend([
            xmpp_parsers::receipts::Request.into(),
            hints::store(),
            hints::unstyled(),
        ]);
        message
    }

    /// Everybody with a role and a subscription.
    fn recipients(&self) -> Vec<Recipient> {
        let roles = self.bot.context.roles.load();
        let people = roles.everybody().map(|jid| {
            let rights = roles.of(&Jid::from(jid.clone()));
            (jid, rights)
        });
        self.bot.context.engine.read(|ledger| {
            let with_watch = |(jid, rights): (BareJid, Rights)| {
                let account = Account::from_jid(&Jid::from(jid.clone())).map(Subject::Account);
                let wish = account.and_then(|account| ledger.subscriptions().of(&account).cloned());
                let watch = wish.unwrap_or_else(|| Watch::usual_for(rights.highest()));
                Recipient {
                    jid,
                    is_room: false,
                    rights,
                    watch,
                }
            };
            // An admin chose topics for the room, and knows who is in it.
            let rooms = ledger.subscriptions().all().filter_map(|(subject, watch)| {
                let jid = subject.account()?.to_jid()?;
                self.bot.rooms.are_in(&jid).then(|| Recipient {
                    jid,
                    is_room: true,
                    rights: Rights::everywhere(Role::Admin),
                    watch: watch.clone(),
                })
            });
            let all = people.map(with_watch).chain(rooms);
            all.filter(|recipient| !recipient.watch.is_off()).collect()
        })
    }

    /// The message; `None` if we have left the room.
    fn notice(
        &self,
        recipient: &Recipient,
        throttle: &mut Throttle,
        out: &[Due],
        now: Timestamp,
    ) -> Option<Stanza> {
        let notice = match out {
            [Due::One(told)] => {
                let subject = told.news.subject();
                let role = subject.map_or(recipient.rights.highest(), |one| {
                    recipient.rights.over(&one)
                });
                render::one(told, &self.bot.context.engine).for_role(role)
            }
            sums => NoticeText {
                lines: sums
                    .iter()
                    .flat_map(|out| match out {
                        Due::Sum(topic, tally) => render::sum(*topic, tally, now),
                        Due::One(_) => Vec::new(),
                    })
                    .collect(),
                actions: Vec::new(),
                about: About::Nobody,
            },
        };
        if recipient.is_room {
            let about = notice.about.clone();
            let text = notice.text();
            let message = self
                .bot
                .rooms
                .say(&recipient.jid, &text, vec![hints::unstyled()])?;
            self.bot.sent.note_message(&recipient.jid, &message, &about);
            return Some(Stanza::Message(message));
        }
        let text = phrases::plain(&notice.text());
        throttle.sent(now);
        let id = sent::fresh_id();
        self.bot.sent.note(&recipient.jid, &id, &text, notice.about);
        let quick = hints::quick(&notice.actions);
        let message = self.unasked(&recipient.jid, id, text, quick);
        Some(Stanza::Message(message))
    }
}

/// Whether a message to this receiver may be sent now.
fn can_receive(throttle: &mut Throttle, recipient: &Recipient, now: Timestamp) -> bool {
    const MINUTE: i64 = 60_000;
    let minute = now.as_millis().div_euclid(MINUTE).rem_euclid(24 * 60);
    let minute = u16::try_from(minute).unwrap_or_default();
    let quiet = recipient.watch.quiet;
    quiet.is_none_or(|quiet| quiet.left(minute).is_none()) && throttle.may_get_more(now)
}

/// Whether somebody may see an event: events of accounts on their virtual hosts, and those of the whole server only
/// with unlimited rights.
fn may_see(rights: &Rights, news: &News) -> bool {
    match news.subject() {
        Some(subject) => rights.see(&subject),
        None => rights.see_all(),
    }
}

/// Whether this person decided it, and so already has the answer.
fn is_own(news: &News, jid: &BareJid) -> bool {
    match news {
        News::Ruled { event, .. } => {
            event.actor.bare_name() == jid.as_str()
                && event.change != crate::core::Change::Ban(crate::core::BanChange::Expired)
        }
        _ => false,
    }
}

/// Sends notices until told to stop; held ones are then summed up.
pub async fn run(
    notices: Arc<Notices>,
    engine: Arc<Engine>,
    mut hearing: NotificationFeed,
    mut standing: watch::Receiver<Arc<Enforcement>>,
    wire: Wire,
    stop: CancellationToken,
) {
    let mut unconfirmed = Unconfirmed::new(wire);
    loop {
        let can = standing.borrow_and_update().linked;
        let (stanzas, next) = notices.due(can, false);
        unconfirmed.send(stanzas).await;
        let pause = next.map_or(LONGEST_PAUSE, |next| next.since(engine.now()));
        let mut news = Vec::new();
        tokio::select! {
            () = stop.cancelled() => break,
            more = hearing.next(&mut news, AT_ONCE) => {
                if more == 0 {
                    break;
                }
                let missed: Vec<_> = hearing.missed().collect();
                unconfirmed.send(notices.offer(&news, &missed, can)).await;
            }
            _ = standing.changed() => {}
            () = notices.wake.notified() => {}
            () = tokio::time::sleep(pause.min(LONGEST_PAUSE)) => {}
        }
    }
    let news: Vec<Notification> = std::iter::from_fn(|| hearing.now()).collect();
    let missed: Vec<_> = hearing.missed().collect();
    let can = standing.borrow().linked;
    unconfirmed.send(notices.offer(&news, &missed, can)).await;
    unconfirmed.send(notices.due(can, true).0).await;
}
