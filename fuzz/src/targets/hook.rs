//! Requests of the hook modules: the fast path and the parser read the same and answer the same, and what is read is
//! within its bounds.

use minidom::Element;
use portcullis::core::{BanId, By, Seq, Timestamp, Verdict, as_written};
use portcullis::xmpp::payload::hook::{
    self, Check, HOLD, HookRequest, LOGINS, NS_HOOK, PlainCheck, ReportedLogin,
};
use portcullis::xmpp::stanza::{Received, Top, parse};

use super::{subject, through_guard, written};

const NOW: i64 = 1_795_320_000_123;

pub fn run(frame: &[u8]) {
    let parsed = match parse(frame) {
        Top::Stanza(received) => Some(received),
        _ => None,
    };
    // Both addresses are compared with known ones, so the fast path does not check their form.
    let is_jid = |text: &str| as_written::exact(text).is_some_and(|jid| jid.as_str() == text);
    if let Some(plain) = PlainCheck::read(frame)
        && is_jid(plain.from)
        && is_jid(plain.to)
    {
        let received = parsed
            .as_ref()
            .expect("the parser reads what the fast path reads");
        assert_eq!(received.header.from.as_str(), plain.from);
        assert_eq!(received.header.to.as_str(), plain.to);
        assert_eq!(received.header.id.as_deref(), Some(plain.id));
        assert_eq!(received.type_(), "get");
        same_answer(&plain, received);
        let slow = HookRequest::read(payload(received), true, now());
        assert_eq!(slow, Ok(HookRequest::Check(plain.check)));
    }
    if let Some(received) = &parsed
        && let Some(payload) = received.payload()
        && payload.has_ns(NS_HOOK)
        && let Ok(request) = HookRequest::read(payload, received.type_() == "get", now())
    {
        bounded(&request);
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(NOW)
}

fn payload(received: &Received) -> &Element {
    received.payload().expect("a request has a payload")
}

/// Compares the answers to one question, for each kind of verdict.
fn same_answer(plain: &PlainCheck<'_>, received: &Received) {
    let refuse = |ban, reason: &str, until| Verdict::Refuse {
        ban: BanId(ban),
        by: By::Account,
        reason: reason.into(),
        until,
    };
    for verdict in [
        Verdict::LetIn,
        refuse(17, "a <b> & 'c' \"d\" ]]>", Timestamp::parse("2030-01-01")),
        refuse(0, "", None),
    ] {
        let bytes = plain.answer(&verdict, Seq(44), now());
        let Top::Stanza(answer) = parse(&through_guard(&bytes)) else {
            panic!("no stanza: {}", String::from_utf8_lossy(&bytes));
        };
        assert_eq!(answer.header.id, received.header.id);
        assert_eq!(answer.header.to, received.header.from);
        assert_eq!(answer.header.from, received.header.to);
        let slow = hook::verdict(&verdict, Seq(44), now());
        assert_eq!(written(payload(&answer)), written(&slow));
    }
}

/// Checks the bounds of what was read.
fn bounded(request: &HookRequest) {
    let short = |text: &str| text.len() <= 200 && !text.contains(char::is_control);
    match request {
        HookRequest::Check(Check {
            account,
            address,
            hold,
        }) => {
            assert!(account.is_some() || address.is_some());
            assert!(hold.is_none_or(|hold| hold <= HOLD));
            if let Some(account) = account {
                subject::reads_back(&portcullis::core::Subject::Account(account.clone()));
            }
        }
        HookRequest::Hello(hello) => {
            for text in [&hello.software, &hello.version, &hello.module, &hello.node] {
                assert!(short(text), "{text:?}");
            }
            assert!(hello.trouble.as_deref().is_none_or(short));
            assert!(hello.held.as_ref().is_none_or(|held| short(&held.epoch)));
        }
        HookRequest::Sync(held) => {
            assert!(held.as_ref().is_none_or(|held| short(&held.epoch)));
        }
        HookRequest::Report(report) => {
            assert!(report.logins.len() <= LOGINS && short(&report.node));
            assert!(report.batch.as_deref().is_none_or(short));
            for ReportedLogin { attempt, .. } in &report.logins {
                assert!(attempt.account.is_some() || attempt.address.is_some());
            }
        }
    }
}
