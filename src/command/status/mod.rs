//! `status`: what the server lets us do, what is missing, what is still to be done.

mod text;

use super::call::Call;
use super::context::Context;
use super::outcome::{Answer, Grade, Outcome, Row};
use super::parts::bans;
use super::parts::filter::Filter;
use super::spec::Spec;
use super::{broken, phrases};
use crate::core::Role;
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

/// How much unfinished work is named.
const NAMED: usize = 5;

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
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
    let counts = match counted.await {
        Ok(counts) => counts,
        Err(fault) => return Outcome::Broken(broken("count bans", &fault)),
    };
    let mut rows = vec![
        Row::new("level", "Level", phrases::level(&standing)),
        Row::new("server", "Server", phrases::server(&standing)),
        Row::new("bans", text::BANS_IN_FORCE, phrases::counts(&counts)),
        Row::new("pending", "Unfinished work", text::pending(tasks.len())),
    ];
    let unwritten = context.admission.unwritten().borrow().clone();
    if let Some(fault) = &unwritten {
        rows.push(Row::new("store", "STORE", text::unwritten(fault, now)));
    }
    for (place, task) in tasks.iter().take(NAMED).enumerate() {
        rows.push(Row::new(
            format!("pending{}", place + 1),
            task.subject.to_string(),
            phrases::task(task),
        ));
    }
    for (place, has) in standing.has.iter().enumerate() {
        rows.push(Row::new(format!("has{}", place + 1), "There", has));
    }
    for (place, gap) in standing.gaps.iter().enumerate() {
        let number = place + 1;
        rows.push(Row::new(
            format!("gap{number}"),
            "MISSING",
            phrases::gap(gap),
        ));
        rows.push(Row::new(
            format!("remedy{number}"),
            "To add",
            gap.remedy.trim_end(),
        ));
    }
    let seats = context.front.rooms();
    for (place, seat) in seats.iter().enumerate() {
        rows.push(Row::new(
            format!("room{}", place + 1),
            text::seat_label(seat),
            text::seat(seat, now),
        ));
    }
    let undelivered = context.front.undelivered();
    if let Some((whom, at)) = undelivered.last.filter(|_| rights.see_all()) {
        rows.push(Row::new(
            "undelivered",
            text::UNDELIVERED_LABEL,
            text::undelivered(undelivered.number, whom.as_str(), at),
        ));
    }
    rows.extend(counting(context));
    rows.extend(program(context));
    rows.push(Row::new(
        "uptime",
        "Running for",
        text::uptime(context.started, now),
    ));
    rows.push(Row::new("version", "Version", text::version()));
    let outside = seats.iter().filter(|seat| seat.trouble.is_some()).count();
    let fine = standing.level > 0
        && standing.gaps.is_empty()
        && tasks.is_empty()
        && outside == 0
        && unwritten.is_none();
    Outcome::Done(
        Answer::new(
            if fine { Grade::Good } else { Grade::Warning },
            text::status_title(&standing),
            text::status(&standing, tasks.len(), outside),
        )
        .with_rows(rows),
    )
}

/// The program itself: what it decided, what it records, what it takes.
fn program(context: &Context) -> Vec<Row> {
    let (decisions, exemptions) = context.engine.read(|ledger| {
        let now = context.engine.now();
        let exemptions = ledger.exemptions().all().filter(|one| one.is_in_force(now));
        (ledger.folded().0, exemptions.count())
    });
    let mut rows = vec![
        Row::new("exemptions", "Exemptions given", exemptions.to_string()),
        Row::new("decisions", text::DECISIONS_LABEL, decisions.to_string()),
        Row::new(
            "recording",
            "Recording",
            text::recording(context.recording.is_some()),
        ),
    ];
    rows.extend(memory().map(|bytes| Row::new("memory", "Memory", text::memory(bytes))));
    rows
}

/// Bytes of memory the program holds, as the kernel counts them (`VmRSS` of proc(5)).
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1_024)
}

/// The rules and how full their counters are.
fn counting(context: &Context) -> Vec<Row> {
    let policy = context.engine.policy();
    let named = |dry_run: bool| {
        let rules = policy.rules.table.iter();
        let names = rules.filter(move |rule| rule.dry_run == dry_run);
        text::rule_names(names.map(|rule| rule.name.as_str()))
    };
    let mut rows = vec![
        Row::new("rules", text::RULES_IN_FORCE, named(false)),
        Row::new("dry_run", text::RULES_IN_DRY_RUN, named(true)),
    ];
    // One row a kind: the fullest of its tables.
    let mut fills: Vec<Fill> = Vec::new();
    let tables = context.admission.fill();
    for table in tables {
        match fills.iter_mut().find(|fill| fill.what == table.what) {
            Some(fill) => {
                fill.keys = fill.keys.max(table.keys);
                fill.evicted += table.evicted;
            }
            None => fills.push(table),
        }
    }
    rows.extend(fills.iter().map(|fill| {
        Row::new(
            format!("fill_{}", fill.what),
            text::fill_label(fill.what),
            text::fill(fill.keys, fill.most, fill.evicted),
        )
    }));
    rows
}
