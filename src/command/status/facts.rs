//! Facts of `status`.

use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::admission::Unwritten;
use crate::command::broken;
use crate::command::context::Context;
use crate::command::front::{RoomStatus, Undelivered};
use crate::command::outcome::Reference;
use crate::command::parts::bans;
use crate::command::parts::facts::{Fact, fact};
use crate::command::parts::filter::Filter;
use crate::command::parts::unnamed::unnamed_hosts;
use crate::core::tracker::Fill;
use crate::core::{BanId, PutBackMark, Rights, Timestamp};
use crate::delivery::ports::{Enforcement, Task};
use crate::engine::ClockJump;

/// Maximum number of unfinished tasks that are named.
const NAMED: usize = 5;

/// How long it is shown that the store was put back to an older copy.
const PUT_BACK_SHOWN: Duration = Duration::from_secs(7 * 86_400);

/// That the store was put back to an older copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PutBackFact {
    /// When it was noticed.
    #[serde(serialize_with = "fact")]
    pub(super) noticed: Timestamp,
    /// The ban number that followed.
    pub(super) next: BanId,
    /// Whether it is not proven: what tells where the log ended was damaged.
    pub(super) lost_end: bool,
}

/// The state of the program and of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct StatusFacts {
    /// When this was so.
    #[serde(serialize_with = "fact")]
    pub(super) at: Timestamp,
    /// What the server lets us do.
    pub(super) enforcement: Enforcement,
    /// Number of active bans of each kind.
    #[serde(serialize_with = "by_name")]
    pub(super) bans: [(&'static str, usize); 5],
    /// Number of subjects for which the server has unfinished work.
    pub(super) pending: usize,
    /// Some of that work.
    #[serde(serialize_with = "fact")]
    pub(super) tasks: Vec<Task>,
    /// Why the log stores no decisions; `None` if it does.
    #[serde(serialize_with = "fact")]
    pub(super) unwritten: Option<Unwritten>,
    /// That the clock of this machine was set and is not believed yet.
    #[serde(serialize_with = "fact")]
    pub(super) clock: Option<ClockJump>,
    /// That the store was put back to an older copy, for [`PUT_BACK_SHOWN`].
    pub(super) put_back: Option<PutBackFact>,
    /// The configured rooms.
    #[serde(serialize_with = "fact")]
    pub(super) rooms: Vec<RoomStatus>,
    /// Messages of ours that bounced; `None` if there are none, or the caller may not see them.
    #[serde(serialize_with = "fact")]
    pub(super) undelivered: Option<Undelivered>,
    /// The rules in force.
    pub(super) rules: Vec<String>,
    /// The rules that only report.
    pub(super) dry_run: Vec<String>,
    /// How full the counters are: one table of each kind, the fullest.
    #[serde(serialize_with = "fact")]
    pub(super) tables: Vec<Fill>,
    /// Number of exemptions in force that people granted.
    pub(super) exemptions: usize,
    /// Number of decisions in the log.
    pub(super) decisions: u64,
    /// Name of the storage engine that the log is on; `None` if it is on no disk.
    pub(super) store: Option<&'static str>,
    /// Whether judged logins are recorded.
    pub(super) recording: bool,
    /// Resident memory in bytes; `None` if unknown.
    pub(super) memory: Option<u64>,
    /// When the program started.
    #[serde(serialize_with = "fact")]
    pub(super) started: Timestamp,
    /// Its version.
    pub(super) version: &'static str,
}

impl StatusFacts {
    /// The state as far as the caller may see it.
    ///
    /// # Errors
    /// If the bans cannot be counted.
    pub(super) async fn gather(rights: &Rights, context: &Context) -> Result<Self, Reference> {
        let bans = count_bans(rights, context).await?;
        let standing = context.delivery.server().standing();
        let mut enforcement = Enforcement::clone(&standing.borrow());
        if rights.see_all() {
            enforcement.warnings.extend(unnamed_hosts(context));
        }
        let now = context.engine.now();
        let mut tasks = context.delivery.tasks();
        tasks.retain(|task| rights.see(&task.subject));
        let pending = tasks.len();
        tasks.truncate(NAMED);
        let put_back = put_back(context, now).await;
        let undelivered = context.front.undelivered();
        let is_shown = undelivered.last.is_some() && rights.see_all();
        let policy = context.engine.policy();
        let rules = |dry_run: bool| {
            let rules = policy.rules.table.iter();
            let rules = rules.filter(move |rule| rule.dry_run == dry_run);
            rules.map(|rule| rule.name.clone()).collect()
        };
        let (decisions, exemptions) = context.engine.read(|ledger| {
            let exemptions = ledger.exemptions().all();
            let exemptions = exemptions.filter(|one| one.is_in_force(now));
            (ledger.folded().0, exemptions.count())
        });
        Ok(StatusFacts {
            at: now,
            enforcement,
            bans,
            pending,
            tasks,
            unwritten: context.admission.unwritten().borrow().clone(),
            clock: *context.engine.clock_jump().borrow(),
            put_back,
            rooms: context.front.rooms().to_vec(),
            undelivered: is_shown.then_some(undelivered),
            rules: rules(false),
            dry_run: rules(true),
            tables: fullest(context.admission.fill()),
            exemptions,
            decisions,
            store: context.store_engine,
            recording: context.recording.is_some(),
            memory: memory(),
            started: context.started,
            version: env!("CARGO_PKG_VERSION"),
        })
    }

    /// Number of rooms that we cannot enter.
    pub(super) fn outside(&self) -> usize {
        let rooms = self.rooms.iter();
        rooms.filter(|room| room.trouble.is_some()).count()
    }

    /// Whether nothing is missing, unfinished or in trouble.
    pub(super) fn is_fine(&self) -> bool {
        self.enforcement.level > 0
            && self.enforcement.gaps.is_empty()
            && self.enforcement.conflict.is_none()
            && self.enforcement.warnings.is_empty()
            && self.pending == 0
            && self.outside() == 0
            && self.unwritten.is_none()
    }
}

async fn put_back(context: &Context, now: Timestamp) -> Option<PutBackFact> {
    let last = context
        .engine
        .read(|ledger| ledger.put_backs().last().copied());
    let PutBackMark { at, next, .. } = last?;
    let entries = context.engine.entries(at, 1).await.ok()?;
    let event = &entries.first()?.event;
    let fact = PutBackFact {
        noticed: event.at,
        next,
        lost_end: event.personal.note.is_some(),
    };
    (now.since(event.at) < PUT_BACK_SHOWN).then_some(fact)
}

async fn count_bans(
    rights: &Rights,
    context: &Context,
) -> Result<[(&'static str, usize); 5], Reference> {
    let kinds = ["account", "address", "network", "pair", "guard"].map(|kind| (kind, 0_usize));
    let filter = Filter::all(rights);
    let counted = bans::in_force(context, &filter, kinds, |kinds, ban| {
        let mut kinds = kinds.iter_mut();
        if let Some((_, count)) = kinds.find(|(kind, _)| *kind == ban.subject.kind()) {
            *count += 1;
        }
    });
    counted.await.map_err(|fault| broken("count bans", &fault))
}

/// One table per kind: the fullest, with the keys that all of them evicted.
fn fullest(tables: Vec<Fill>) -> Vec<Fill> {
    let mut fullest: Vec<Fill> = Vec::new();
    for table in tables {
        match fullest.iter_mut().find(|fill| fill.what == table.what) {
            Some(fill) => {
                fill.keys = fill.keys.max(table.keys);
                fill.evicted += table.evicted;
            }
            None => fullest.push(table),
        }
    }
    fullest
}

/// Resident memory of the program in bytes (`VmRSS` of proc(5)); `None` if it cannot be read.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1_024)
}

fn by_name<S: Serializer>(
    counts: &[(&'static str, usize)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().copied())
}

impl Fact for Unwritten {
    fn json(&self) -> Value {
        json!({ "since": self.since.to_xmpp(), "bans": self.bans, "why": self.why })
    }
}

impl Fact for Fill {
    fn json(&self) -> Value {
        json!({
            "kind": self.what,
            "keys": self.keys,
            "most": self.most,
            "evicted": self.evicted,
        })
    }
}

impl Fact for Undelivered {
    fn json(&self) -> Value {
        let last = self.last.as_ref();
        json!({
            "number": self.number,
            "to": last.map(|(whom, _)| whom.as_str()),
            "at": last.map(|(_, at)| at.to_xmpp()),
        })
    }
}

/// Without the people who have a role there, whom only admins see.
impl Fact for RoomStatus {
    fn json(&self) -> Value {
        json!({
            "room": self.room,
            "nick": self.nick,
            "others": self.others,
            "faceless": self.faceless,
            "public": self.public,
            "trouble": self.trouble,
            "next": self.again.json(),
        })
    }
}
