//! Lists page by page: what is asked for, and the page of it.

use super::outcome::{Entry, Outcome, Page, Problem};
use super::spec::{Field, Kind, Place, Values};
use super::words;

/// Rows on a page.
pub const A_PAGE: usize = 10;

/// The field for the page.
pub const PAGE: Field = Field {
    name: "page",
    label: "Page",
    kind: Kind::Line,
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

/// What is asked for: tests that all must hold, and which page.
#[derive(Debug)]
pub(super) struct Asked<T> {
    filter: String,
    /// One a word of the filter.
    pub(super) tests: Vec<T>,
    page: usize,
    table: bool,
}

impl<T> Asked<T> {
    /// Reads the fields `filter`, `page` and `table`; `test` reads one word of the filter.
    pub(super) fn parse(
        values: &Values,
        test: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let filter = values
            .line("filter")
            .map(|text| words::clean(&text))
            .unwrap_or_default();
        let mut tests = Vec::new();
        for word in filter.split_whitespace() {
            match test(word) {
                Ok(test) => tests.push(test),
                Err(text) => problems.push(Problem {
                    field: "filter",
                    text,
                }),
            }
        }
        let page = match values.line("page") {
            None => 1,
            Some(text) => text
                .parse()
                .ok()
                .filter(|page| *page > 0)
                .unwrap_or_else(|| {
                    problems.push(Problem {
                        field: "page",
                        text: words::no_page(&text),
                    });
                    1
                }),
        };
        let table = values.flag("table").unwrap_or_else(|| {
            problems.push(Problem {
                field: "table",
                text: words::no_flag("table"),
            });
            false
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Asked {
            filter,
            tests,
            page,
            table,
        })
    }

    /// How many there are, and those on the page.
    pub(super) fn cut<R>(&self, found: impl Iterator<Item = R>) -> (usize, Vec<R>) {
        let (mut total, mut page) = (0, Vec::new());
        let skipped = (self.page - 1).saturating_mul(A_PAGE);
        for one in found {
            if total >= skipped && page.len() < A_PAGE {
                page.push(one);
            }
            total += 1;
        }
        (total, page)
    }

    /// The page as an answer; `names` is what is listed.
    pub(super) fn page(
        self,
        command: &str,
        names: words::Listed,
        total: usize,
        rows: Vec<Entry>,
        columns: &'static [(&'static str, &'static str)],
    ) -> Outcome {
        let pages = total.div_ceil(A_PAGE).max(1);
        if self.page > pages {
            return Outcome::Invalid(vec![Problem {
                field: "page",
                text: words::too_few_pages(pages),
            }]);
        }
        let next = (self.page < pages).then(|| {
            let page = (self.page + 1).to_string();
            [command, &self.filter, &page]
                .into_iter()
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        });
        let first = (self.page - 1) * A_PAGE;
        Outcome::Rows(Page {
            title: words::page_title(names, first, rows.len(), total, !self.tests.is_empty()),
            page: self.page,
            total,
            rows,
            columns,
            next,
            table: self.table,
        })
    }
}
