//! Commands for the running portcullis: sends them, asks the person for confirmation, prints the answer, sets the
//! exit code.

use std::io::{self, BufRead};
use std::path::Path;
use std::process::ExitCode;

use super::CommandArgs;
use super::daemon::{self, Daemon, Stop, WRONG, agree, put};
use super::printer::{self, Printer};
use crate::command::parts::subjects;
use crate::command::{Grade, Outcome};
use crate::front::terminal::wire::{self, Question, RemoteAnswer};

/// Maximum number of subjects on standard input.
const MOST: usize = 100_000;

/// Carries out a command. Exit code 0: done; 1: refused, failed, or no portcullis runs; 2: wrong usage or configuration.
pub fn run(file: &Path, call: CommandArgs) -> ExitCode {
    daemon::with_store(file, async |store| carry_out(&store, call).await)
}

async fn carry_out(store: &Path, mut call: CommandArgs) -> Result<u8, Stop> {
    let named = if call.takes_input() {
        Some(read_subjects(io::stdin().lock())?)
    } else {
        None
    };
    let portions: Vec<Option<Vec<String>>> = match named {
        None => vec![None],
        Some(named) => named
            .chunks(subjects::MOST)
            .map(|portion| Some(portion.to_vec()))
            .collect(),
    };
    // Again after each question: a person may think for longer than a connection may be idle.
    let mut daemon = Daemon::connect(store).await?;
    let several = portions.len() > 1;
    let mut confirmed = call.yes;
    if several && !confirmed {
        let number: usize = portions.iter().flatten().map(Vec::len).sum();
        confirmed = agree(&format!("These are {number} subjects."), call.json)?;
        if !confirmed {
            return Ok(1);
        }
        daemon = Daemon::connect(store).await?;
    }
    let printer = Printer::of(&io::stdout());
    let mut outcomes = Vec::new();
    for (number, portion) in portions.into_iter().enumerate() {
        let mut asked = wire::RemoteCall {
            command: call.spec.name.to_owned(),
            words: call.words.clone(),
            values: call.values.clone(),
            confirmed,
            goes_on: number > 0,
        };
        if let Some(portion) = portion {
            asked.values.set(subjects::FIELD, portion);
        }
        let mut outcome = ask(&mut daemon, asked.clone()).await?;
        // It asks again if more would be hit by now than it showed.
        while let Outcome::Ask(question) = &outcome
            && agree(&printer::question(question), call.json)?
        {
            asked.confirmed = true;
            daemon = Daemon::connect(store).await?;
            if let Some(values) = question.values.clone() {
                asked.words.clear();
                asked.values = values;
            }
            outcome = ask(&mut daemon, asked.clone()).await?;
        }
        if call.all {
            outcome = all_pages(&mut daemon, asked, outcome).await?;
        }
        if !call.json {
            show(&outcome, &call, &printer)?;
        }
        outcomes.push(outcome);
    }
    if call.json {
        put(&printer::json(&outcomes))?;
    }
    Ok(outcomes.iter().map(code).max().unwrap_or(0))
}

/// Reads one subject per line. Empty lines and comments (`# …`) are skipped; `#17` is a subject.
fn read_subjects(input: impl BufRead) -> Result<Vec<String>, Stop> {
    let mut named = Vec::new();
    for line in input.lines() {
        let line = line.map_err(|why| Stop::wrong(format!("cannot read standard input: {why}")))?;
        let line = line.trim();
        if line.is_empty() || line == "#" || line.starts_with("# ") {
            continue;
        }
        if named.len() == MOST {
            return Err(Stop::wrong(format!(
                "standard input names more than {MOST} subjects; nothing was done."
            )));
        }
        named.push(line.to_owned());
    }
    if named.is_empty() {
        return Err(Stop::wrong(String::from(
            "standard input names nobody; one subject a line is expected.",
        )));
    }
    Ok(named)
}

/// Sends a command and returns its outcome.
async fn ask(daemon: &mut Daemon, call: wire::RemoteCall) -> Result<Outcome, Stop> {
    match daemon.ask(&Question::Call(call)).await? {
        RemoteAnswer::Outcome(outcome) => Ok(outcome),
        _ => Err(Stop::another_version()),
    }
}

/// Appends all further pages to the first one.
async fn all_pages(
    daemon: &mut Daemon,
    mut asked: wire::RemoteCall,
    mut first: Outcome,
) -> Result<Outcome, Stop> {
    while let Outcome::Rows(page) = &mut first
        && page.next.is_some()
    {
        page.page += 1;
        asked.values.set("page", vec![page.page.to_string()]);
        match ask(daemon, asked.clone()).await? {
            Outcome::Rows(more) => {
                page.rows.extend(more.rows);
                page.cells.extend(more.cells);
                (page.next, page.total) = (more.next, more.total);
                page.title = format!("All {}", page.rows.len());
            }
            // The list became shorter meanwhile.
            _ => page.next = None,
        }
    }
    if let Outcome::Rows(page) = &mut first {
        page.page = 1;
    }
    Ok(first)
}

/// Prints answers on standard output and refusals on standard error.
fn show(outcome: &Outcome, call: &CommandArgs, printer: &Printer) -> Result<(), Stop> {
    match outcome {
        Outcome::Done(_) | Outcome::Rows(_) => put(&printer.answer(outcome, call)),
        // The question was already shown.
        Outcome::Ask(_) => Ok(()),
        _ => {
            eprintln!("{}", Printer::of(&io::stderr()).answer(outcome, call));
            Ok(())
        }
    }
}

/// Exit code 0: done; 1: refused or failed; 2: wrong usage.
fn code(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Done(answer) => u8::from(answer.grade >= Grade::Part),
        Outcome::Rows(_) => 0,
        Outcome::Invalid { .. } | Outcome::Unknown { .. } => WRONG,
        Outcome::Ask(_)
        | Outcome::Refused { .. }
        | Outcome::Forbidden { .. }
        | Outcome::Broken { .. } => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_read_one_a_line() {
        let read = |text: &'static str| read_subjects(text.as_bytes()).ok();
        let text = "# from the report of monday\na@b\r\n\n #17\na@b from 192.0.2.1\n#\n";
        let named = read(text).unwrap_or_default();
        assert_eq!(named, ["a@b", "#17", "a@b from 192.0.2.1"]);
        assert_eq!(read("# nobody\n\n"), None);
    }
}
