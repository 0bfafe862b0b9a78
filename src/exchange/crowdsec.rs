//! Reads the output of `cscli decisions list -o json` (seen with CrowdSec 1.4.6): alerts with their decisions.
//!
//! ```json
//! [{"created_at": "2026-11-27T09:19:44Z", "decisions": [{"duration": "3h59m58.8s", "id": 1, "origin": "cscli",
//!   "scenario": "manual test", "scope": "Ip", "simulated": false, "type": "ban", "value": "203.0.113.7"}], …}]
//! ```
//!
//! `duration` is the remaining time, in Go's notation. Only bans of addresses, networks and accounts are imported.
//! Countries, autonomous systems (AS), captchas and simulated decisions are left out and reported.

use std::time::Duration;

use serde::Deserialize;

use super::{ImportedBan, Pile, is_over, subject};
use crate::command::phrases::clean;
use crate::core::{Subject, Term};

/// An alert with decisions, or a decision without an alert.
#[derive(Deserialize)]
struct CrowdsecItem {
    #[serde(default)]
    decisions: Option<Vec<CrowdsecDecision>>,
    #[serde(flatten)]
    itself: CrowdsecDecision,
}

#[derive(Deserialize)]
struct CrowdsecDecision {
    #[serde(default)]
    duration: String,
    #[serde(default)]
    scenario: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    simulated: bool,
    #[serde(default, rename = "type")]
    type_: String,
    #[serde(default)]
    value: String,
}

pub(super) fn read(text: &str, pile: &mut Pile) {
    let all: Option<Vec<CrowdsecItem>> = match serde_json::from_str(text) {
        Ok(all) => all,
        Err(why) => {
            let said = clean(&why.to_string());
            let said = format!("This is not what `cscli decisions list -o json` prints: {said}.");
            return pile.bad(why.line(), said);
        }
    };
    let decisions = all.unwrap_or_default().into_iter().flat_map(|listed| {
        let itself = listed.decisions.is_none().then_some(listed.itself);
        listed
            .decisions
            .unwrap_or_default()
            .into_iter()
            .chain(itself)
    });
    // Line numbers mean nothing in this format, so decisions are numbered instead.
    for (at, decision) in decisions.enumerate() {
        one(at + 1, &decision, pile);
    }
}

fn one(number: usize, decision: &CrowdsecDecision, pile: &mut Pile) {
    let value = decision.value.as_str();
    let (shown, scope) = (clean(value), clean(&decision.scope));
    let no_subject = || format!("{shown:?}: portcullis knows no bans of the kind {scope:?}.");
    if decision.type_ != "ban" || decision.simulated {
        let kind = clean(&decision.type_);
        let said = format!("{shown:?}: {kind:?} is no ban, or only a simulated one.");
        return pile.leave_out(number, said);
    }
    let found = match decision.scope.to_lowercase().as_str() {
        "ip" | "range" => subject(value, None),
        "username" | "user" | "account" => subject(value, None).map_err(|_| no_subject()),
        _ => Err(no_subject()),
    };
    let subject: Subject = match found {
        Ok(subject) => subject,
        Err(why) => return pile.leave_out(number, why),
    };
    let term = match left(&decision.duration) {
        Some(Some(left)) => Term::For(left),
        Some(None) => return pile.leave_out(number, is_over(&subject)),
        None => {
            let duration = clean(&decision.duration);
            let said = format!("{duration:?} is no duration as CrowdSec writes it.");
            return pile.bad(number, said);
        }
    };
    let reason = match clean(&decision.scenario) {
        why if why.is_empty() => String::from("CrowdSec"),
        why => format!("CrowdSec: {why}"),
    };
    pile.ban(number, subject, ImportedBan::new(reason, term));
}

/// Parses a duration in Go's notation (`time.Duration.String`), such as `99h59m58.8s`. `Some(None)` if it is
/// negative, `None` if it is not a duration.
fn left(text: &str) -> Option<Option<Duration>> {
    if text.starts_with('-') {
        return Some(None);
    }
    let (mut seconds, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().ok()?;
        let letters = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        seconds += number
            * match unit {
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "µs" | "μs" | "us" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = after;
    }
    let left = Duration::try_from_secs_f64(seconds).ok()?;
    (!text.is_empty()).then_some(Some(left))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Format;
    use super::super::tests::told;
    use super::*;

    /// Output of cscli 1.4.6.
    const PRINTED: &str = include_str!("../../tests/it/lists/crowdsec.json");

    #[test]
    fn bans_of_addresses_and_networks_are_taken_and_the_rest_is_told() {
        assert_eq!(
            told(Format::Crowdsec, PRINTED),
            [
                "2 198.51.100.0/24 | 2026-12-01T12:59:58.802Z, imported: CrowdSec: range",
                "3 203.0.113.7 | 2026-11-27T12:59:58.802Z, imported: CrowdSec: manual test",
                "out 1: \"alice@example.org\": \"captcha\" is no ban, or only a simulated one.",
            ]
        );
        assert_eq!(told(Format::Crowdsec, "null"), [""; 0]);
        let broken = told(Format::Crowdsec, "[{\"decisions\": 1}]");
        assert!(
            broken[0].starts_with("bad 1: This is not what"),
            "{broken:?}"
        );
        let more = r#"[{"decisions":[
            {"type":"ban","scope":"Country","value":"XX","duration":"1h"},
            {"type":"ban","scope":"Ip","value":"192.0.2.1","duration":"-3s"},
            {"type":"ban","scope":"Ip","value":"192.0.2.2","duration":"soon"},
            {"type":"ban","scope":"username","value":"bob@example.org","duration":"1m0s"}]},
            {"type":"ban","scope":"ip","value":"192.0.2.3","duration":"2h0m0s","scenario":"a/b"}]"#;
        assert_eq!(
            told(Format::Crowdsec, more),
            [
                "4 bob@example.org | 2026-11-27T09:01:00Z, imported: CrowdSec",
                "5 192.0.2.3 | 2026-11-27T11:00:00Z, imported: CrowdSec: a/b",
                "bad 3: \"soon\" is no duration as CrowdSec writes it.",
                "out 1: \"XX\": portcullis knows no bans of the kind \"Country\".",
                "out 2: The ban of 192.0.2.1 is over.",
            ]
        );
    }

    #[test]
    fn durations_are_gos() {
        let seconds = |text: &str| left(text).map(|left| left.map(|left| left.as_secs_f64()));
        assert_eq!(seconds("59m58.5s"), Some(Some(3_598.5)));
        assert_eq!(seconds("1h"), Some(Some(3_600.0)));
        assert_eq!(seconds("250ms"), Some(Some(0.25)));
        assert_eq!(seconds("-1s"), Some(None));
        for none in ["", "h", "1", "1d", "1.2.3s", "999999999999999999999h"] {
            assert_eq!(seconds(none), None, "{none}");
        }
    }
}
