//! Writes bans, exemptions and history as JSON Lines, in pieces, because a log may be larger than memory.

use serde::{Deserialize, Serialize};

use super::lines::ExportLine;
use crate::command::Context;
use crate::core::{Ban, BanId, Exemption, Seq};
use crate::journal::LogFault;

/// Approximate number of lines in a piece.
const AT_ONCE: usize = 1_024;

/// The parts to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSelection {
    /// Bans in force.
    pub bans: bool,
    /// Exemptions in force.
    pub exemptions: bool,
    /// Every decision that changed something, oldest first.
    pub history: bool,
    /// Also private notes and evidence.
    pub personal: bool,
}

/// Where the next piece begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Piece {
    /// The first piece, with the head of the file.
    #[default]
    Head,
    /// Decisions from this position in the log on.
    History(u64),
    /// All exemptions.
    Exemptions,
    /// Bans with a number above this one.
    Bans(u64),
}

/// The lines of one piece (possibly none), and where the next one begins; `None` after the last piece.
///
/// # Errors
/// [`LogFault`] if the log cannot be read; the export is then incomplete.
pub async fn export_piece(
    wanted: ExportSelection,
    piece: Piece,
    context: &Context,
) -> Result<(Vec<ExportLine>, Option<Piece>), LogFault> {
    Ok(match piece {
        Piece::Head => {
            let next = match wanted.history {
                true => Piece::History(1),
                false => Piece::Exemptions,
            };
            (vec![ExportLine::head(context.engine.now())], Some(next))
        }
        Piece::History(from) => history(wanted, Seq(from), context).await?,
        Piece::Exemptions => {
            let lines = match wanted.exemptions {
                true => exemptions(context),
                false => Vec::new(),
            };
            (lines, wanted.bans.then_some(Piece::Bans(0)))
        }
        Piece::Bans(behind) => bans(wanted, BanId(behind), context).await?,
    })
}

async fn history(
    wanted: ExportSelection,
    from: Seq,
    context: &Context,
) -> Result<(Vec<ExportLine>, Option<Piece>), LogFault> {
    let entries = context.engine.entries(from, AT_ONCE).await?;
    let next = match entries.last() {
        Some(last) => Piece::History(last.seq.next().0),
        None => Piece::Exemptions,
    };
    let lines = context.engine.read(|ledger| {
        // A stale event changed nothing and is not history.
        let counts = |subject, seq| ledger.subjects().trail(subject).binary_search(seq).is_ok();
        entries
            .iter()
            .filter(|entry| counts(&entry.event.subject, &entry.seq))
            .map(|entry| ExportLine::event(&entry.event, wanted.personal))
            .collect()
    });
    Ok((lines, Some(next)))
}

fn exemptions(context: &Context) -> Vec<ExportLine> {
    let now = context.engine.now();
    let in_force = |one: &&Exemption| one.is_in_force(now);
    context.engine.read(|ledger| {
        let all = ledger.exemptions().all().filter(in_force);
        all.map(ExportLine::exemption).collect()
    })
}

async fn bans(
    wanted: ExportSelection,
    behind: BanId,
    context: &Context,
) -> Result<(Vec<ExportLine>, Option<Piece>), LogFault> {
    let now = context.engine.now();
    let bans: Vec<Ban> = context.engine.read(|ledger| {
        let bans = ledger.bans().newer_than(behind).take(AT_ONCE);
        bans.cloned().collect()
    });
    let next = bans.last().map(|ban| Piece::Bans(ban.id.0));
    let mut lines = Vec::with_capacity(bans.len());
    for ban in bans.iter().filter(|ban| ban.is_in_force(now)) {
        let mut note = None;
        if wanted.personal {
            // Private notes are only in the log. The last one is exported.
            let history = context.engine.history(&ban.subject).await?;
            let mut notes = history
                .into_iter()
                .filter_map(|entry| entry.event.personal.note);
            note = notes.next_back();
        }
        lines.push(ExportLine::ban(ban, note));
    }
    Ok((lines, next))
}
