//! Writes what is here in our own lines, piece by piece: a log may be larger than memory.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::lines::Line;
use crate::ban::{Seq, Subject};
use crate::command::Context;
use crate::gate::ports::LogFault;

/// How many decisions are read at once.
const AT_ONCE: usize = 1_024;

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Bans in force.
    pub bans: bool,
    /// Exemptions in force.
    pub exemptions: bool,
    /// Every decision that changed something, oldest first.
    pub history: bool,
    /// Private notes and evidence, too.
    pub personal: bool,
}

/// An export under way: ask for pieces until there is none.
#[derive(Debug)]
pub struct Giving {
    wanted: Wanted,
    next: Step,
    /// The private note a standing ban has, as far as the log was read.
    notes: HashMap<Subject, String>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Head,
    Log(Seq),
    Exemptions,
    Bans,
    Over,
}

impl Giving {
    /// An export of what is wanted.
    pub fn new(wanted: Wanted) -> Self {
        Giving {
            wanted,
            next: Step::Head,
            notes: HashMap::new(),
        }
    }

    /// The next lines; `None` when all is written. A piece may be empty.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read; what was written so far is not all.
    pub async fn next(&mut self, context: &Context) -> Result<Option<Vec<Line>>, LogFault> {
        let now = context.gate.now();
        let Wanted {
            bans,
            exemptions,
            history,
            personal,
        } = self.wanted;
        let lines = match self.next {
            Step::Head => {
                // Notes stand in the log alone.
                let reads_log = history || (bans && personal);
                self.next = if reads_log {
                    Step::Log(Seq(1))
                } else {
                    Step::Exemptions
                };
                vec![Line::head(now)]
            }
            Step::Log(from) => {
                let entries = context.gate.entries(from, AT_ONCE).await?;
                self.next = match entries.last() {
                    Some(last) => Step::Log(last.seq.next()),
                    None => Step::Exemptions,
                };
                let mut lines = Vec::new();
                for entry in entries {
                    let event = &entry.event;
                    // One that came too late changed nothing and is no history.
                    let counts = context.gate.read(|ledger| {
                        ledger
                            .trail(&event.subject)
                            .binary_search(&entry.seq)
                            .is_ok()
                    });
                    if !counts {
                        continue;
                    }
                    if let Some(note) = event.personal.note.as_ref().filter(|_| personal && bans) {
                        self.notes.insert(event.subject.clone(), note.clone());
                    }
                    if history {
                        lines.push(Line::event(event, personal));
                    }
                }
                lines
            }
            Step::Exemptions => {
                self.next = Step::Bans;
                let all = |ledger: &crate::ban::Ledger| {
                    let all = ledger.exemptions().filter(|one| one.is_in_force(now));
                    all.map(Line::exemption).collect()
                };
                if exemptions {
                    context.gate.read(all)
                } else {
                    Vec::new()
                }
            }
            Step::Bans => {
                self.next = Step::Over;
                let notes = std::mem::take(&mut self.notes);
                let all = |ledger: &crate::ban::Ledger| {
                    let mut all: Vec<_> = ledger
                        .newest_first()
                        .filter(|ban| ban.is_in_force(now))
                        .collect();
                    all.reverse();
                    let note = |subject| notes.get(subject).cloned();
                    all.iter()
                        .map(|ban| Line::ban(ban, note(&ban.subject)))
                        .collect()
                };
                if bans {
                    context.gate.read(all)
                } else {
                    Vec::new()
                }
            }
            Step::Over => return Ok(None),
        };
        Ok(Some(lines))
    }
}
