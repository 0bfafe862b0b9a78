//! Lists page by page: what is asked for, and the page of it. One shape for all lists.

use super::text;
use crate::command::outcome::{ListEntry, Outcome, Page, Problem};
use crate::command::parts::filter::{Filter, Word};
use crate::command::phrases;
use crate::command::spec::{Field, Kind, Place};
use crate::command::values::Values;
use crate::core::{Rights, Timestamp};

/// Rows on a page.
pub const A_PAGE: usize = 10;
/// The highest page that is shown.
const LAST_PAGE: u32 = 1_000_000;

/// The field for the page.
pub const PAGE: Field = Field {
    name: "page",
    label: "Page",
    kind: Kind::Number {
        from: 1,
        to: LAST_PAGE,
    },
    required: false,
    desc: "A number, from 1.",
    place: Place::Last,
};

/// The field for those who want a table.
pub const TABLE: Field = Field {
    name: "table",
    label: "Show as a table",
    kind: Kind::Flag,
    required: false,
    desc: "Nicer where the client draws tables; some show nothing at all.",
    place: Place::Nowhere,
};

/// What is asked for: what to leave out, and which page.
#[derive(Debug)]
pub(in crate::command) struct Asked {
    /// What to leave out.
    pub(in crate::command) filter: Filter,
    page: usize,
    table: bool,
}

impl Asked {
    /// Reads the fields of a list for somebody with these rights; `known` are the words its filter knows.
    ///
    /// # Errors
    /// All that cannot be read.
    pub(in crate::command) fn parse(
        values: &Values,
        rights: &Rights,
        known: &[Word],
        now: Timestamp,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let filter = Filter::parse(values, rights, known, now).unwrap_or_else(|mut wrong| {
            problems.append(&mut wrong);
            Filter::default()
        });
        let page = match values.line("page") {
            None => 1,
            Some(text) => text
                .parse()
                .ok()
                .filter(|page| (1..=LAST_PAGE as usize).contains(page))
                .unwrap_or_else(|| {
                    problems.push(Problem {
                        field: "page",
                        text: text::no_page(&text),
                    });
                    1
                }),
        };
        let table = values.flag("table").unwrap_or_else(|| {
            problems.push(Problem {
                field: "table",
                text: phrases::no_flag("table"),
            });
            false
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Asked {
            filter,
            page,
            table,
        })
    }

    /// Begins to cut the page out of what is found.
    pub(in crate::command) fn cut<R>(&self) -> PageBuilder<R> {
        PageBuilder {
            skip: (self.page - 1).saturating_mul(A_PAGE),
            total: 0,
            page: Vec::new(),
        }
    }

    /// The page as an answer; `names` is what is listed.
    pub(in crate::command) fn page(
        self,
        command: &str,
        names: phrases::ListTitle,
        total: usize,
        rows: Vec<ListEntry>,
        columns: &'static [(&'static str, &'static str)],
    ) -> Outcome {
        let pages = total.div_ceil(A_PAGE).max(1);
        if self.page > pages {
            return Outcome::Invalid(vec![Problem {
                field: "page",
                text: text::too_few_pages(pages),
            }]);
        }
        let next = (self.page < pages).then(|| {
            let page = (self.page + 1).to_string();
            [command, self.filter.words(), &page]
                .into_iter()
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        });
        let first = (self.page - 1) * A_PAGE;
        Outcome::Rows(Page {
            title: text::page_title(names, first, rows.len(), total, !self.filter.is_empty()),
            lines: Vec::new(),
            page: self.page,
            total,
            rows,
            columns,
            next,
            table: self.table,
        })
    }
}

/// A page while it is cut out: everything is counted, and only its rows are kept.
#[derive(Debug)]
pub(in crate::command) struct PageBuilder<R> {
    skip: usize,
    /// How many there were so far.
    pub(in crate::command) total: usize,
    /// Those on the page.
    pub(in crate::command) page: Vec<R>,
}

impl<R> PageBuilder<R> {
    /// Takes in the next one that was found.
    pub(in crate::command) fn take(&mut self, found: impl FnOnce() -> R) {
        if self.total >= self.skip && self.page.len() < A_PAGE {
            self.page.push(found());
        }
        self.total += 1;
    }
}
