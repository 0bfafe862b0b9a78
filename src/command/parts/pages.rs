//! Lists in pages, for all lists alike: reads the request, and cuts out the page.

use serde_json::Value;

use crate::command::outcome::{EarlyOutcome, ListEntry, Page, Problem};
use crate::command::parts::filter::{Filter, Word};
use crate::command::phrases::clean;
use crate::command::request::Request;
use crate::command::spec::{Field, Kind, Place};
use crate::core::Timestamp;

/// Number of rows on a page.
pub const A_PAGE: usize = 10;
/// The highest page number.
const LAST_PAGE: u32 = 1_000_000;

/// The field for the page number.
pub const PAGE: Field = Field::new(
    "page",
    "Page",
    Kind::Number {
        from: 1,
        to: LAST_PAGE,
    },
)
.at(Place::Last)
.desc("A number, from 1.");

/// The field for showing a table.
pub const TABLE: Field = Field::new("table", "Show as a table", Kind::Flag)
    .desc("Nicer where the client draws tables; some show nothing at all.");

/// A request for a page of a list.
#[derive(Debug)]
pub(in crate::command) struct Asked {
    /// The filter.
    pub(in crate::command) filter: Filter,
    page: usize,
    table: bool,
}

impl Asked {
    /// Reads the fields of a list; `known` are its filter words.
    ///
    /// # Errors
    /// All problems at once.
    pub(in crate::command) fn parse(
        call: &Request<'_>,
        known: &[Word],
        now: Timestamp,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let filter = Filter::parse(&call.values, &call.caller.rights, known, now);
        let filter = Problem::keep(&mut problems, filter).unwrap_or_default();
        let table = Problem::keep(&mut problems, call.flag("table")).unwrap_or_default();
        let text = call
            .values
            .line("page")
            .unwrap_or_else(|| String::from("1"));
        let page = text.parse().ok();
        let page = page.filter(|page| (1..=LAST_PAGE as usize).contains(page));
        let wrong = || {
            let text = format!("“{}” is no page; pages are numbers from 1.", clean(&text));
            [Problem::new("page", text)]
        };
        match Problem::keep(&mut problems, page.ok_or_else(wrong)) {
            Some(page) if problems.is_empty() => Ok(Asked {
                filter,
                page,
                table,
            }),
            _ => Err(problems),
        }
    }

    /// A builder for the requested page.
    pub(in crate::command) fn cut<R>(&self) -> PageBuilder<R> {
        PageBuilder {
            skip: (self.page - 1).saturating_mul(A_PAGE),
            total: 0,
            page: Vec::new(),
        }
    }

    /// The page as an outcome; `names` describes the list.
    ///
    /// # Errors
    /// The outcome to return, if there is no such page.
    pub(in crate::command) fn page(
        self,
        command: &str,
        names: ListTitle,
        total: usize,
        entries: Vec<ListEntry>,
        columns: &[(&'static str, &'static str)],
    ) -> Result<Page, EarlyOutcome> {
        let pages = total.div_ceil(A_PAGE).max(1);
        if self.page > pages {
            let text = match pages {
                1 => String::from("There is only one page."),
                _ => format!("There are only {pages} pages."),
            };
            return Err(Problem::new("page", text).into());
        }
        let next = (self.page < pages).then(|| {
            let page = (self.page + 1).to_string();
            let words = [command, self.filter.words(), &page];
            let words = words.into_iter().filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join(" ")
        });
        let first = (self.page - 1) * A_PAGE;
        let is_filtered = !self.filter.is_empty();
        let mut page = Page {
            title: names.of(first, entries.len(), total, is_filtered),
            lines: Vec::new(),
            page: self.page,
            total,
            rows: Vec::new(),
            columns: columns
                .iter()
                .map(|(_, label)| String::from(*label))
                .collect(),
            cells: Vec::new(),
            next,
            shown: Vec::new(),
            vars: columns.iter().map(|(var, _)| *var).collect(),
            table: self.table,
        };
        for ListEntry { row, cells, fact } in entries {
            page.rows.push(fact.unwrap_or_else(|| {
                let names = page.vars.iter().map(|var| String::from(*var));
                names
                    .zip(cells.iter().cloned().map(Value::String))
                    .collect()
            }));
            page.cells.push(cells);
            page.shown.push(row);
        }
        Ok(page)
    }
}

/// The headings of a list.
#[derive(Debug, Clone, Copy)]
pub(in crate::command) struct ListTitle {
    /// `Bans`
    pub(in crate::command) all: &'static str,
    /// `Matching bans`
    pub(in crate::command) matching: &'static str,
    /// `No bans in force`
    pub(in crate::command) none: &'static str,
    /// `No ban matches`
    pub(in crate::command) no_match: &'static str,
}

impl ListTitle {
    /// The title, e.g. `Bans 11-20 of 35`.
    fn of(self, first: usize, shown: usize, total: usize, is_filtered: bool) -> String {
        let what = if is_filtered { self.matching } else { self.all };
        match total {
            0 if is_filtered => self.no_match.to_owned(),
            0 => self.none.to_owned(),
            _ => format!("{what} {}-{} of {total}", first + 1, first + shown),
        }
    }
}

/// Counts all rows and keeps those on the page.
#[derive(Debug)]
pub(in crate::command) struct PageBuilder<R> {
    skip: usize,
    /// Number of rows so far.
    pub(in crate::command) total: usize,
    /// The rows on the page.
    pub(in crate::command) page: Vec<R>,
}

impl<R> PageBuilder<R> {
    /// Adds the next row.
    pub(in crate::command) fn take(&mut self, found: impl FnOnce() -> R) {
        if self.total >= self.skip && self.page.len() < A_PAGE {
            self.page.push(found());
        }
        self.total += 1;
    }

    /// Turns the rows on the page into others.
    pub(in crate::command) fn map<T>(self, into: impl FnMut(R) -> T) -> PageBuilder<T> {
        PageBuilder {
            skip: self.skip,
            total: self.total,
            page: self.page.into_iter().map(into).collect(),
        }
    }
}
