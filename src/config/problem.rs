//! Problems of a configuration, as people read them: where they are and what to write instead.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

/// One problem, or one of [`super::Config::warnings`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Line and column in the file, both from 1, the column in characters; `None` if something is missing.
    pub place: Option<(usize, usize)>,
    /// A sentence. It never contains a secret or the line with the problem.
    pub message: String,
}

/// All problems of a file. `Display` prints one line per problem: `file:line:column: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblems {
    /// The configuration file, as it was named.
    pub file: PathBuf,
    /// In the order of the file; never empty.
    pub list: Vec<ConfigProblem>,
}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.list.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.file.display())?;
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblems {}

/// `line:column: message`, or ` message`: what follows `file:`.
impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// The position of a value in the file, in bytes.
pub(super) type ByteSpan = Range<usize>;

/// Collects problems and warnings while a file is read, so that one run reports all of them.
pub(super) struct Findings<'t> {
    text: &'t str,
    problems: Vec<ConfigProblem>,
    warnings: Vec<ConfigProblem>,
}

impl<'t> Findings<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Reports a problem at this place (a byte range of the file).
    pub(super) fn wrong(&mut self, span: Option<ByteSpan>, message: impl Into<String>) {
        let place = self.place(span);
        self.problems.push(ConfigProblem {
            place,
            message: message.into(),
        });
    }

    /// Warns about something that works but is probably not intended.
    pub(super) fn odd(&mut self, span: Option<ByteSpan>, message: impl Into<String>) {
        let place = self.place(span);
        self.warnings.push(ConfigProblem {
            place,
            message: message.into(),
        });
    }

    /// The number of problems and warnings so far, for [`Findings::back_to`].
    pub(super) fn marks(&self) -> (usize, usize) {
        (self.problems.len(), self.warnings.len())
    }

    /// Drops everything found since [`Findings::marks`].
    pub(super) fn back_to(&mut self, (problems, warnings): (usize, usize)) {
        self.problems.truncate(problems);
        self.warnings.truncate(warnings);
    }

    /// `read` and the warnings, or the problems if there are any.
    pub(super) fn unless_wrong<T>(
        self,
        file: &Path,
        read: Option<T>,
    ) -> Result<(T, Vec<ConfigProblem>), ConfigProblems> {
        let (problems, warnings) = self.sorted();
        match read {
            Some(read) if problems.is_empty() => Ok((read, warnings)),
            _ => Err(ConfigProblems {
                file: file.to_owned(),
                list: problems,
            }),
        }
    }

    /// Problems and warnings in the order of the file; those without a position come last.
    pub(super) fn sorted(mut self) -> (Vec<ConfigProblem>, Vec<ConfigProblem>) {
        for list in [&mut self.problems, &mut self.warnings] {
            list.sort_by_key(|problem| problem.place.unwrap_or((usize::MAX, 0)));
        }
        (self.problems, self.warnings)
    }

    fn place(&self, span: Option<ByteSpan>) -> Option<(usize, usize)> {
        let before = self.text.get(..span?.start)?;
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        Some((line, column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let mut found = Findings::new("a\nüb = 1\n");
        found.odd(Some(4..5), "x");
        found.wrong(Some(4..5), "second");
        found.wrong(None, "last");
        found.wrong(Some(0..1), "first");
        let (list, _) = found.sorted();
        let problems = ConfigProblems {
            file: "p.toml".into(),
            list,
        };
        assert_eq!(
            problems.to_string(),
            "p.toml:1:1: first\np.toml:2:2: second\np.toml: last"
        );
    }
}
