//! `status`: shows what the server lets us do, what is missing, and unfinished work.

mod text;

use super::broken;
use super::context::Context;
use super::outcome::{Answer, EarlyOutcome, Grade, Outcome, Row};
use super::parts::bans;
use super::parts::filter::Filter;
use super::phrases::{self, clean, count, typed};
use super::request::Request;
use super::spec::Spec;
use crate::core::Role;
use crate::core::time::in_words;
use crate::core::tracker::Fill;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "status",
    title: "Status",
    summary: "Shows what is enforced, what is missing on the server and how to add it, unfinished work, and the rules with their counters.",
    needs: Role::Viewer,
    form: true,
    fields: &[],
    usage: "status",
    examples: &[("status", "level, server, missing lines, pending work")],
    changes: false,
};

/// Maximum number of unfinished tasks that are named.
const NAMED: usize = 5;

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let rights = &call.caller.rights;
    let now = context.engine.now();
    let standing = context.delivery.server().standing().borrow().clone();
    let mut tasks = context.delivery.tasks();
    tasks.retain(|task| rights.see(&task.subject));
    let kinds = ["account", "address", "network", "pair", "guard"].map(|kind| (kind, 0_usize));
    let filter = Filter::all(rights);
    let counted = bans::in_force(context, &filter, kinds, |kinds, ban| {
        let mut kinds = kinds.iter_mut();
        if let Some((_, count)) = kinds.find(|(kind, _)| *kind == ban.subject.kind()) {
            *count += 1;
        }
    });
    let counts = counted
        .await
        .map_err(|fault| broken("count bans", &fault))?;
    let pending = match tasks.len() {
        0 => String::from("none"),
        number => format!("{}, tried again and again", count(number, "subject")),
    };
    let mut rows = vec![
        Row::new("level", "Level", phrases::level(&standing)),
        Row::new("server", "Server", phrases::server(&standing)),
        Row::new("bans", "Bans in force", phrases::counts(&counts)),
        Row::new("pending", "Unfinished work", pending.clone()),
    ];
    let unwritten = context.admission.unwritten().borrow().clone();
    let store = unwritten.as_ref().map(|fault| text::unwritten(fault, now));
    rows.extend(store.map(|fault| Row::new("store", "STORE", fault)));
    let named = tasks.iter().take(NAMED);
    let named = named.map(|task| (task.subject.to_string(), phrases::task(task)));
    rows.extend(Row::numbered("pending", named));
    rows.extend(Row::numbered(
        "has",
        standing.has.iter().map(|has| ("There", has)),
    ));
    for (place, gap) in standing.gaps.iter().enumerate() {
        let number = place + 1;
        let remedy = gap.remedy.trim_end();
        rows.push(Row::new(
            format!("gap{number}"),
            "MISSING",
            phrases::gap(gap),
        ));
        rows.push(Row::new(format!("remedy{number}"), "To add", remedy));
    }
    let seats = context.front.rooms();
    rows.extend(Row::numbered(
        "room",
        seats.iter().map(|seat| text::seat(seat, now)),
    ));
    let undelivered = context.front.undelivered();
    if let Some((whom, at)) = undelivered.last.filter(|_| rights.see_all()) {
        let number = usize::try_from(undelivered.number).unwrap_or(usize::MAX);
        let value = format!(
            "{}, the last for {} at {at}: is there such an account, and does the server keep messages for who is away?",
            count(number, "message"),
            clean(whom.as_str())
        );
        rows.push(Row::new("undelivered", "Came back unread", value));
    }
    rows.extend(counting(context));
    rows.extend(program(context));
    let (running, started) = (in_words(now.since(context.started)), context.started);
    let version = concat!("portcullis ", env!("CARGO_PKG_VERSION"));
    rows.push(Row::new(
        "uptime",
        "Running for",
        format!("{running}, since {started}"),
    ));
    rows.push(Row::new("version", "Version", version));
    let outside = seats.iter().filter(|seat| seat.trouble.is_some()).count();
    let fine = standing.level > 0
        && standing.gaps.is_empty()
        && tasks.is_empty()
        && outside == 0
        && unwritten.is_none();
    let pending = (!tasks.is_empty()).then_some(pending);
    let (title, lines) = text::status(&standing, pending, outside);
    let grade = if fine { Grade::Good } else { Grade::Warning };
    Ok(Outcome::Done(
        Answer::new(grade, title, lines).with_rows(rows),
    ))
}

/// The program itself: decisions, recording, memory.
fn program(context: &Context) -> Vec<Row> {
    let (decisions, exemptions) = context.engine.read(|ledger| {
        let now = context.engine.now();
        let exemptions = ledger.exemptions().all().filter(|one| one.is_in_force(now));
        (ledger.folded().0, exemptions.count())
    });
    let recording = match context.recording {
        Some(_) => format!("on; {} plays it", typed("rehearse")),
        None => String::from("off"),
    };
    let mut rows = vec![
        Row::new("exemptions", "Exemptions given", exemptions.to_string()),
        Row::new("decisions", "Decisions in the log", decisions.to_string()),
        Row::new("recording", "Recording", recording),
    ];
    let memory = memory().map(|bytes| format!("{} MiB", bytes.div_ceil(1 << 20)));
    rows.extend(memory.map(|memory| Row::new("memory", "Memory", memory)));
    rows
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

/// The rules, and how full their counters are.
fn counting(context: &Context) -> Vec<Row> {
    let policy = context.engine.policy();
    let named = |dry_run: bool| {
        let rules = policy.rules.table.iter();
        let rules = rules.filter(move |rule| rule.dry_run == dry_run);
        let names: Vec<String> = rules.map(|rule| clean(&rule.name)).collect();
        match names.is_empty() {
            true => String::from("none"),
            false => names.join(", "),
        }
    };
    let mut rows = vec![
        Row::new("rules", "Rules in force", named(false)),
        Row::new("dry_run", "Rules in dry run", named(true)),
    ];
    // One row per kind: the fullest of its tables.
    let mut fills: Vec<Fill> = Vec::new();
    for table in context.admission.fill() {
        match fills.iter_mut().find(|fill| fill.what == table.what) {
            Some(fill) => {
                fill.keys = fill.keys.max(table.keys);
                fill.evicted += table.evicted;
            }
            None => fills.push(table),
        }
    }
    rows.extend(fills.iter().map(|fill| {
        let label = match fill.what {
            "known" => String::from("Good logins remembered"),
            "address" => String::from("Addresses counted"),
            what => format!("{}s counted", phrases::capital(what)),
        };
        let mut value = format!("{} of {}", fill.keys, fill.most);
        if fill.evicted > 0 {
            value.push_str(&format!(
                "; {} had to make room before their time",
                fill.evicted
            ));
        }
        Row::new(format!("fill_{}", fill.what), label, value)
    }));
    rows
}
