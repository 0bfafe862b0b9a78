//! `import`: bans, exemptions and history from a file, submitted as orders.
//!
//! The file is read here, with the permissions of the user who runs the command, and sent to the running portcullis
//! in batches of our own format. A first pass only reports what would be done.

use std::collections::{HashMap, HashSet};
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, builder::TypedValueParser as _};
use serde_json::json;

use super::daemon::{self, Daemon, Stop, agree, put};
use crate::command::phrases::{clean, count, in_a_shell, undo_command};
use crate::core::{CommandId, Subject};
use crate::engine::clock::Clock;
use crate::exchange::import::recalled::HistoryEnds;
use crate::exchange::import::{ImportTally, NamedCount};
use crate::exchange::lines::{self, ExportLine};
use crate::exchange::{Bad, Format, Read, Reading, read};
use crate::front::terminal::wire::{Import, Question, RemoteAnswer, RemoteProgress};

/// Maximum size of the file, in bytes.
const LARGEST: u64 = 1 << 30;
/// Maximum number of lines in a batch.
const BATCH: usize = 1_000;
/// Maximum size of a batch in bytes: a request may have 1 MiB, and escaping takes space.
const BATCH_BYTES: usize = 256 * 1024;
/// Maximum number of rejected entries that are listed on a terminal.
const NAMED: usize = 20;

/// The arguments of `import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// The file; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The format of the file; recognised by its content if left out
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    from: Option<Format>,
    /// The domain of names without one
    #[arg(long, value_name = "DOMAIN")]
    host: Option<String>,
    /// Take the decisions in an export of another portcullis, too, with all that they ban, exempt and lift
    #[arg(long)]
    history: bool,
    /// Only report what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Answer in JSON, for other programs
    #[arg(long)]
    json: bool,
}

fn formats() -> impl clap::builder::TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(|(name, _)| name)).map(|typed| {
        let named = Format::ALL.iter().find(|(name, _)| *name == typed);
        named.map_or(Format::Plain, |(_, format)| *format)
    })
}

/// Runs the import. Exit code 0: everything in the file is in force now; 1: something was not imported; 2: a line
/// could not be read.
pub fn run(file: &Path, typed: ImportArgs) -> ExitCode {
    daemon::with_store(file, async |store| carry_out(&store, &typed).await)
}

async fn carry_out(store: &Path, typed: &ImportArgs) -> Result<u8, Stop> {
    let text = text_of(&typed.file)?;
    let format = typed.from.unwrap_or_else(|| Format::guess(&text));
    let reading = Reading {
        now: Clock::system().now(),
        host: typed.host.clone(),
        history: typed.history,
    };
    let read = read(format, &text, &reading);
    drop(text);
    let mut daemon = Daemon::connect(store).await?;
    let foreseen = send(&mut daemon, &read, true).await?;
    if typed.dry_run {
        return tell(typed, format, &read, &foreseen, true);
    }
    if !typed.yes && foreseen.changes() {
        if !agree(&summary(format, &read, &foreseen, true), typed.json)? {
            return Ok(1);
        }
        // A person may think for longer than a connection may be idle.
        daemon = Daemon::connect(store).await?;
    }
    let tally = match foreseen.changes() {
        true => send(&mut daemon, &read, false).await?,
        false => foreseen,
    };
    tell(typed, format, &read, &tally, false)
}

/// The summary of an import: how many entries of the file were imported or left out, or would be in a dry run.
fn summary(format: Format, read: &Read, tally: &ImportTally, dry_run: bool) -> String {
    let would = |done: &'static str, would: &'static str| if dry_run { would } else { done };
    let mut head = format!(
        "{} in the file ({format})",
        count(read.entries.len(), "subject")
    );
    if !read.history.is_empty() {
        head.push_str(&format!(", and {}", count(read.history.len(), "decision")));
    }
    let mut lines = vec![format!("{head}.")];
    let mut add = |number: usize, what: &str, text: &str| match (number, what) {
        (0, _) => {}
        (_, "") => lines.push(format!("{number} {text}.")),
        _ => lines.push(format!("{} {text}.", count(number, what))),
    };
    let by_number =
        |number, one: &'static str, more: &'static str| if number == 1 { one } else { more };
    let unasked = "of another portcullis left out; with --history they are taken, too, with all that they ban, exempt and lift";
    let there = tally.standing + tally.exempt + tally.known;
    let stands = by_number(
        tally.recalled,
        "made elsewhere stands in the history now",
        "made elsewhere stand in the history now",
    );
    let recalled = would(stands, "made elsewhere would stand in the history");
    let older = "made elsewhere left out: something newer was decided here";
    add(tally.banned, "ban", would("began", "would begin"));
    add(
        tally.prolonged,
        "ban",
        would("became longer", "would become longer"),
    );
    let endless = by_number(tally.endless, "has", "have");
    add(tally.endless, "", &format!("of the bans {endless} no end"));
    let unknown = &tally.unknown;
    let text = format!(
        "of the accounts {} not on this server: {}",
        by_number(unknown.number, "is", "are"),
        named(unknown)
    );
    add(unknown.number, "", &text);
    let no_trace = &tally.no_trace;
    let text = format!(
        "of the accounts may not exist, the server has seen them neither log in nor register: {}",
        named(no_trace)
    );
    add(no_trace.number, "", &text);
    let text = format!("WIDE: {}", named(&tally.wide));
    add(tally.wide.number, "network", &text);
    add(tally.exempted, "exemption", would("began", "would begin"));
    add(tally.recalled, "decision", recalled);
    for (number, what, text) in where_it_ends(&tally.ends, dry_run) {
        add(number, what, &text);
    }
    add(read.unasked, "decision", unasked);
    let here = by_number(there, "is here already", "are here already");
    add(there, "", here);
    add(tally.older, "decision", older);
    let refused = tally.refused.len();
    let not_taken = by_number(refused, "was not taken", "were not taken");
    add(refused, "", would(not_taken, "would not be taken"));
    add(read.left_out.len(), "", "left out");
    add(read.bad.len(), "line", "cannot be read");
    if !tally.changes() {
        lines.push(String::from(would(
            "Nothing was changed.",
            "Nothing would be changed.",
        )));
    }
    let undo = tally.command.as_deref().and_then(CommandId::parse);
    let undo = undo.filter(|_| tally.banned + tally.prolonged + tally.exempted > 0);
    lines.extend(undo.map(|command| in_a_shell(&undo_command(command))));
    if tally.recalled > 0 {
        lines.push(String::from(would(
            "undo does not take the history back: end what it began with unban and unallow.",
            "undo will not take the history back.",
        )));
    }
    lines.join("\n")
}

fn named(more: &NamedCount) -> String {
    let rest = more.number - more.first.len();
    let rest = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    clean(&(more.first.join(", ") + &rest))
}

/// What an imported history ends in, each with its number, what they are, and the rest of the sentence.
fn where_it_ends(ends: &HistoryEnds, dry_run: bool) -> Vec<(usize, &'static str, String)> {
    let would = |done: &'static str, would: &'static str| if dry_run { would } else { done };
    let mut told = Vec::new();
    let stands = would("from there in force now", "from there would be in force");
    let is_over = would("made here ended", "made here would end");
    let parts = [
        ("ban", &ends.bans),
        ("exemption", &ends.exemptions),
        ("subscription", &ends.subscriptions),
    ];
    for (what, part) in parts {
        let (mut begun, mut ended) = (NamedCount::default(), NamedCount::default());
        for (name, end) in part {
            match &end.now {
                Some(now) => begun.add(format!("{name} ({now})")),
                None => ended.add(name.clone()),
            }
        }
        told.push((begun.number, what, format!("{stands}: {}", named(&begun))));
        told.push((ended.number, what, format!("{is_over}: {}", named(&ended))));
    }
    let undone = would("was undone", "would be undone");
    let undone = format!("whose last change {undone}: {}", named(&ends.undone));
    told.push((ends.undone.number, "subject", undone));
    let freed = would(
        "lifted by exemptions from there",
        "would be lifted by exemptions from there",
    );
    told.push((
        ends.freed.number,
        "ban",
        format!("{freed}: {}", named(&ends.freed)),
    ));
    told
}

fn text_of(file: &Path) -> Result<String, Stop> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
    };
    read.map_err(|why| Stop::cannot_open(file, &why))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Stop::wrong(format!(
            "the file is too large: at most {} MiB are read; split it.",
            LARGEST >> 20
        )));
    }
    String::from_utf8(bytes)
        .map_err(|_| Stop::wrong(format!("{} is no text in UTF-8.", file.display())))
}

/// Sends all batches and adds up their results.
async fn send(daemon: &mut Daemon, read: &Read, dry_run: bool) -> Result<ImportTally, Stop> {
    let history = read
        .history
        .iter()
        .map(|event| ExportLine::event(event, true));
    // The history of a subject ends with its current ban. A dry run, which changes nothing, would count that ban
    // twice.
    let past: HashSet<&Subject> = match dry_run {
        true => read.history.iter().map(|event| &event.subject).collect(),
        false => HashSet::new(),
    };
    let entries = read
        .entries
        .iter()
        .filter(|entry| !past.contains(&entry.subject));
    let mut left = history.chain(entries.flat_map(lines::of)).peekable();
    let of = (read.history.len() + read.entries.len()) as u64;
    let watched = io::stderr().is_terminal();
    let (mut tally, mut done) = (ImportTally::default(), 0);
    while left.peek().is_some() {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Some(line) = left.next() else { break };
            let line = line.to_text();
            bytes += line.len();
            batch.push(line);
        }
        done += batch.len() as u64;
        let question = Question::Import(Import {
            lines: batch,
            dry_run,
            history: true,
        });
        let RemoteAnswer::Imported(taken) = daemon.ask(&question).await? else {
            return Err(Stop::another_version());
        };
        tally.add(taken);
        if watched {
            daemon::tell(RemoteProgress {
                done: done.min(of),
                of: Some(of),
            });
        }
    }
    if watched {
        daemon::wipe();
    }
    Ok(tally)
}

fn tell(
    typed: &ImportArgs,
    format: Format,
    read: &Read,
    tally: &ImportTally,
    dry_run: bool,
) -> Result<u8, Stop> {
    let lines: HashMap<String, usize> = read
        .entries
        .iter()
        .map(|entry| (entry.subject.to_string(), entry.line))
        .collect();
    let refused = tally.refused.iter().map(|one| Bad {
        line: lines.get(&one.subject).copied().unwrap_or_default(),
        why: match one.why.contains(&one.subject) {
            true => one.why.clone(),
            false => format!("{}: {}", clean(&one.subject), one.why),
        },
    });
    let refused: Vec<Bad> = refused.collect();
    if typed.json {
        let list = |bad: &[Bad]| -> Vec<_> {
            let one = |bad: &Bad| json!({ "line": bad.line, "why": bad.why });
            bad.iter().map(one).collect()
        };
        let said = json!({
            "format": format.to_string(),
            "dry_run": dry_run,
            "taken": tally,
            "bad": list(&read.bad),
            "left_out": list(&read.left_out),
            "history_left_out": read.unasked,
        });
        put(&said.to_string())?;
    } else {
        put(&summary(format, read, tally, dry_run))?;
        for bad in [&read.bad, &refused, &read.left_out] {
            for one in bad.iter().take(NAMED) {
                let file = typed.file.display();
                match one.line {
                    0 => eprintln!("{file}: {}", one.why),
                    line => eprintln!("{file}:{line}: {}", one.why),
                }
            }
            if bad.len() > NAMED {
                eprintln!("… and {} more", bad.len() - NAMED);
            }
        }
    }
    Ok(match (read.bad.is_empty(), refused.is_empty()) {
        (false, _) => daemon::WRONG,
        (true, false) => 1,
        (true, true) => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_in_the_singular() {
        let told = |number: usize| {
            let tally = ImportTally {
                recalled: number,
                known: number,
                endless: number,
                unknown: NamedCount {
                    number,
                    first: Vec::new(),
                },
                ..ImportTally::default()
            };
            summary(Format::Portcullis, &Read::default(), &tally, false)
        };
        for (one, two) in [
            (
                "1 decision made elsewhere stands",
                "2 decisions made elsewhere stand in",
            ),
            ("1 is here already", "2 are here already"),
            ("1 of the bans has no end", "2 of the bans have no end"),
            ("1 of the accounts is not", "2 of the accounts are not"),
        ] {
            assert!(told(1).contains(one), "{}", told(1));
            assert!(told(2).contains(two), "{}", told(2));
        }
    }
}
