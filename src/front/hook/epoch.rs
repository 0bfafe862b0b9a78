//! The epoch in the protocol: the id of the log and, if it was put back to an older copy, the id of the event that says
//! so, and by how much ban numbers are ahead of positions since then: `LOG` or `LOG.EVENT.LEAD`. A module that holds an
//! epoch of this log with an event that is not in it knew the log before it was put back; a module that holds an epoch of another
//! log knew the store that was there before this one.

use crate::core::{EventId, PutBackMark};

/// The epoch of a log that was last put back there.
pub(super) fn print(log: &str, last: Option<&PutBackMark>) -> String {
    match last {
        None => log.to_owned(),
        Some(mark) => format!("{log}.{}.{}", hex::encode(mark.id.0), mark.lead()),
    }
}

/// The event and the lead in an epoch of this log; `None` for other logs, for the log before it was ever put back, and for
/// what is no epoch. Epochs of versions that wrote a position instead of the event are none either.
pub(super) fn put_back(log: &str, epoch: &str) -> Option<(EventId, u64)> {
    let (id, lead) = epoch
        .strip_prefix(log)?
        .strip_prefix('.')?
        .split_once('.')?;
    let mut event = [0; 16];
    hex::decode_to_slice(id, &mut event).ok()?;
    Some((EventId(event), lead.parse().ok()?))
}

/// By how much ban numbers were ahead of positions in another log; `None` for an epoch of this log.
pub(super) fn lead_elsewhere(log: &str, epoch: &str) -> Option<u64> {
    let other = epoch.split('.').next().filter(|other| *other != log)?;
    Some(put_back(other, epoch).map_or(0, |(_, lead)| lead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{BanId, Seq};

    #[test]
    fn an_epoch_reads_back_as_it_was_printed() {
        let mark = PutBackMark {
            at: Seq(41),
            id: EventId([0xab; 16]),
            next: BanId(1_240),
        };
        let epoch = print("7b1f", Some(&mark));
        assert_eq!(epoch, format!("7b1f.{}.1199", "ab".repeat(16)));
        assert_eq!(put_back("7b1f", &epoch), Some((mark.id, 1_199)));
        for other in [
            "7b1f",
            "7b1f.41",
            "7b1f..",
            "7b1f.zz.1",
            "7b1f.abab.1",
            "7b10.",
            "",
        ] {
            assert_eq!(put_back("7b1f", other), None, "{other}");
        }
        assert_eq!(put_back("7b1e", &epoch), None);
        assert_eq!(lead_elsewhere("7b1e", &epoch), Some(1_199));
        assert_eq!(lead_elsewhere("7b1e", "7b1f"), Some(0));
        for own in ["7b1f", &epoch] {
            assert_eq!(lead_elsewhere("7b1f", own), None, "{own}");
        }
        assert_eq!(print("7b1f", None), "7b1f");
    }
}
