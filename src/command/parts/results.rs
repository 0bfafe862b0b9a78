//! What came of an order about one subject, and one answer for all it was about.

use crate::command::outcome::{Answer, Grade, Row};
use crate::command::phrases;
use crate::core::Subject;

/// What came of one subject.
pub(in crate::command) struct TargetResult {
    /// Whether it is as asked for now.
    pub(in crate::command) done: bool,
    /// The number of the ban it is about, to undo it by.
    pub(in crate::command) undo: Option<String>,
    /// How good the news is.
    pub(in crate::command) grade: Grade,
    /// Whom.
    pub(in crate::command) subject: Subject,
    /// What happened.
    pub(in crate::command) line: String,
    /// What the server did: likely the same for several.
    pub(in crate::command) server: Option<String>,
    /// What else to know of this one, such as the way back.
    pub(in crate::command) own: Vec<String>,
}

impl TargetResult {
    /// It is as asked for; the words are still missing.
    pub(in crate::command) fn of(subject: &Subject) -> TargetResult {
        TargetResult {
            done: true,
            undo: None,
            grade: Grade::Good,
            subject: subject.clone(),
            line: String::new(),
            server: None,
            own: Vec::new(),
        }
    }

    /// It is not as asked for, and this is why.
    pub(in crate::command) fn failed(&mut self, why: String) {
        self.done = false;
        self.grade = Grade::Bad;
        self.line = why;
    }
}

/// One answer for all subjects: told in full for one, counted with a row each for several.
pub(in crate::command) fn summary(told: Vec<TargetResult>) -> Answer {
    let all = told.len();
    let done = told.iter().filter(|told| told.done).count();
    let grade = match told.iter().map(|told| told.grade).max() {
        Some(Grade::Bad) if done > 0 => Grade::Part,
        worst => worst.unwrap_or(Grade::Good),
    };
    let undo: Vec<&str> = told
        .iter()
        .filter_map(|told| told.undo.as_deref())
        .collect();
    let undo = (!undo.is_empty()).then(|| phrases::undo(&undo));
    let title = phrases::summary_title(done, all);
    if let [one] = &told[..] {
        let mut lines = vec![one.line.clone()];
        lines.extend(one.server.iter().chain(&one.own).cloned());
        return Answer::new(grade, title, lines).with_undo(undo);
    }
    let failed: Vec<&Subject> = told
        .iter()
        .filter(|told| !told.done)
        .map(|told| &told.subject)
        .collect();
    let mut lines = vec![phrases::summary(done, all, &failed)];
    lines.extend(phrases::shared(
        told.iter().filter_map(|told| told.server.as_deref()),
        all,
    ));
    Answer::new(grade, title, lines)
        .with_rows(
            told.into_iter()
                .enumerate()
                .map(|(place, told)| {
                    let mut value = told.line;
                    for more in told.own {
                        value = format!("{value} {more}");
                    }
                    Row::new(
                        format!("result{}", place + 1),
                        told.subject.to_string(),
                        value,
                    )
                })
                .collect(),
        )
        .with_undo(undo)
}
