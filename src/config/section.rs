//! Reads one table of the file, key by key.
//!
//! A key is described once, where it is read: its type, its values, an example, and whether a change needs a restart.
//! Error messages, suggestions for mistyped keys, and the comparison at a reload all use that description (`read.rs`
//! has a method for each type). Keys that no reader asks for are unknown.

use std::{path::Path, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Env,
    key::{ConfigKey, Setting},
    nearest::nearest,
    problem::{ByteSpan, Findings},
    read::KeyRead,
    unknown::UnknownKey,
};

/// One pass over the file: its limits and its findings.
pub(super) struct FileReader<'f> {
    /// Start of relative paths.
    pub(super) folder: &'f Path,
    pub(super) env: Env<'f>,
    pub(super) found: Findings<'f>,
    /// Set if others can read the file: the reason why it may hold no secret.
    pub(super) open_to_others: Option<String>,
    /// The sections whose values are checked; `None`: all. Types and key names are always checked.
    pub(super) only: Option<&'static [&'static str]>,
    pub(super) known: Vec<ConfigKey>,
    pub(super) tables: Vec<&'static str>,
    pub(super) unknown: Vec<UnknownKey>,
    pub(super) settings: Vec<Setting>,
}

impl<'f> FileReader<'f> {
    pub(super) fn new(
        folder: &'f Path,
        env: Env<'f>,
        text: &'f str,
        only: Option<&'static [&'static str]>,
    ) -> Self {
        FileReader {
            folder,
            env,
            found: Findings::new(text),
            open_to_others: None,
            only,
            known: Vec::new(),
            tables: Vec::new(),
            unknown: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// All findings, once every table has been read.
    pub(super) fn found(mut self) -> Findings<'f> {
        for unknown in &self.unknown {
            let said = unknown.sentence(&self.known, &self.tables);
            self.found.wrong(Some(unknown.place.clone()), said);
        }
        self.found
    }
}

/// One table. When it is dropped, unknown keys and missing required keys are reported.
pub(super) struct Section<'r, 'f> {
    pub(super) reader: &'r mut FileReader<'f>,
    /// Whether changes of the keys read from now on need a restart.
    pub(super) restart: bool,
    section: &'static str,
    entries: DeTable<'f>,
    /// Position in the file, if it is one of a list of tables.
    pub(super) place: Option<ByteSpan>,
    /// Whether it is empty and read only to learn its keys.
    blank: bool,
    /// Whether it is in a list of tables, directly or deeper. A reload compares such a list as a whole.
    listed: bool,
    /// Whether the value was not a table, which has been reported. No key of it is then reported as missing.
    pub(super) unusable: bool,
    pub(super) missing: Vec<(&'static str, String)>,
}

/// TOML type of a value.
#[derive(Clone, Copy)]
pub(super) enum TomlType {
    Text,
    Flag,
    Texts,
    Number,
    Numbers,
    Table,
    Tables,
}

impl<'r, 'f> Section<'r, 'f> {
    pub(super) fn top(reader: &'r mut FileReader<'f>, entries: DeTable<'f>) -> Self {
        Section {
            reader,
            restart: false,
            section: "",
            entries,
            place: None,
            blank: false,
            listed: false,
            unusable: false,
            missing: Vec::new(),
        }
    }

    fn below(&mut self, section: &'static str, entries: DeTable<'f>) -> Section<'_, 'f> {
        let (restart, blank, listed) = (self.restart, self.blank, self.listed);
        let mut table = Section::top(self.reader, entries);
        (table.section, table.restart) = (section, restart);
        (table.blank, table.listed) = (blank, listed);
        table
    }

    /// The table `[name]`; an empty one if the file has none.
    pub(super) fn section(&mut self, name: &'static str) -> Section<'_, 'f> {
        self.reader.tables.push(name);
        let (entries, unusable) = match self.entries.remove(name).map(Spanned::into_inner_placed) {
            None => (DeTable::new(), false),
            Some((DeValue::Table(entries), _)) => (entries, false),
            Some((_, place)) => {
                let said =
                    format!("`{name}` must be a table: write [{name}] once, on a line of its own");
                self.reader.found.wrong(Some(place), said);
                (DeTable::new(), true)
            }
        };
        let mut table = self.below(name, entries);
        table.unusable = unusable;
        table
    }

    /// The same table, with keys that are only read at the start of the program.
    pub(super) fn fixed(mut self) -> Self {
        self.restart = true;
        self
    }

    /// A table inside of this one; `None` if there is none.
    pub(super) fn inner(
        &mut self,
        name: &'static str,
        section: &'static str,
        example: &str,
    ) -> Option<Section<'_, 'f>> {
        let read = self.take(
            TomlType::Table,
            name,
            "a table".to_owned(),
            example.to_owned(),
        );
        let entries = match read.value {
            Some((DeValue::Table(entries), _)) => entries,
            _ if self.blank => DeTable::new(),
            _ => return None,
        };
        Some(self.below(section, entries))
    }

    /// Reads a list of tables, each written as `[[name]]`. `read` reads one of them and must ask for all keys before
    /// it gives up.
    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        section: &'static str,
        example: &str,
        mut read: impl FnMut(&mut Section<'_, 'f>) -> Option<T>,
    ) -> KeyRead<'_, 'r, 'f, Vec<T>> {
        let marks = self.reader.found.marks();
        let mut blank = self.below(section, DeTable::new());
        (blank.blank, blank.listed) = (true, true);
        read(&mut blank);
        drop(blank);
        self.reader.found.back_to(marks);
        let takes = format!("a list of {name}");
        self.take(TomlType::Tables, name, takes, example.to_owned())
            .map(|table, value| {
                let DeValue::Array(list) = value else {
                    return Ok(Vec::new());
                };
                let each = list.into_iter().filter_map(|one| {
                    let (one, place) = one.into_inner_placed();
                    let DeValue::Table(entries) = one else {
                        return None;
                    };
                    let mut one = table.below(section, entries);
                    (one.place, one.listed) = (Some(place), true);
                    read(&mut one)
                });
                Ok(each.collect())
            })
    }

    /// Reports a wrong value, if values of this table are checked.
    pub(super) fn wrong(&mut self, place: Option<ByteSpan>, said: impl Into<String>) {
        if self.is_judged() {
            self.reader.found.wrong(place, said);
        }
    }

    pub(super) fn say(&mut self, key: ConfigKey, example: &str, place: ByteSpan, said: &str) {
        let said = format!(
            "{}: {said}; for example `{} = {example}`",
            key.spoken(),
            key.name
        );
        self.wrong(Some(place), said);
    }

    /// Warns about something that works but is probably not intended.
    pub(super) fn odd(&mut self, place: Option<ByteSpan>, said: impl Into<String>) {
        self.reader.found.odd(place, said);
    }

    /// Whether values of this table, and files they name, are checked.
    pub(super) fn is_judged(&self) -> bool {
        self.reader
            .only
            .is_none_or(|only| only.contains(&self.section))
    }

    /// Records the value of a key for the comparison at a reload. Nothing is recorded inside a list of tables, which
    /// counts as one value.
    pub(super) fn keep<T: Clone + PartialEq + Send + Sync + 'static>(
        &mut self,
        name: &'static str,
        value: &T,
    ) {
        if !self.listed {
            let key = self.key(name);
            let value = Arc::new(value.clone());
            self.reader.settings.push(Setting { key, value });
        }
    }

    pub(super) fn key(&self, name: &'static str) -> ConfigKey {
        ConfigKey {
            section: self.section,
            name,
            restart: self.restart,
        }
    }

    pub(super) fn take(
        &mut self,
        kind: TomlType,
        name: &'static str,
        takes: String,
        example: String,
    ) -> KeyRead<'_, 'r, 'f, DeValue<'f>> {
        let key = self.key(name);
        if !self.reader.known.contains(&key) {
            self.reader.known.push(key);
        }
        let typed = self.entries.remove(name);
        let was_there = typed.is_some();
        let value = typed.and_then(|typed| {
            let Some(culprit) = misfit(kind, &typed) else {
                return Some(typed.into_inner_placed());
            };
            let more = match kind {
                TomlType::Text => ", in quotes".to_owned(),
                TomlType::Texts => ", each in quotes".to_owned(),
                TomlType::Tables => format!(", each a table under a line [[{name}]]"),
                TomlType::Flag | TomlType::Number | TomlType::Numbers | TomlType::Table => {
                    String::new()
                }
            };
            // The value is not shown, because it may be a secret.
            let said = format!(
                "{} must be {takes}{more}, not {}; for example `{name} = {example}`",
                key.spoken(),
                type_name(culprit.get_ref())
            );
            self.reader.found.wrong(Some(culprit.span()), said);
            None
        });
        KeyRead {
            table: self,
            key,
            takes,
            example,
            was_there,
            value,
        }
    }
}

impl Drop for Section<'_, '_> {
    fn drop(&mut self) {
        let section = self.section;
        let reader = &mut *self.reader;
        let mut meant = Vec::new();
        // In a table of a list, missing keys are reported only if it has no unknown ones.
        let is_told = self.place.is_some() && !self.entries.is_empty();
        for (name, value) in &self.entries {
            let is_table = section.is_empty() && value.get_ref().is_table();
            let keys = reader
                .known
                .iter()
                .filter(|key| !is_table && key.section == section);
            let tables = reader.tables.iter().copied().filter(|_| is_table);
            let near = nearest(name.get_ref(), keys.map(|key| key.name).chain(tables));
            meant.extend(near);
            reader.unknown.push(UnknownKey {
                section,
                name: name.get_ref().to_string(),
                place: name.span(),
                is_table,
                near,
            });
        }
        // A mistyped key is not reported as missing, too.
        for (name, said) in std::mem::take(&mut self.missing) {
            if !is_told && !meant.contains(&name) {
                let place = self.place.clone();
                self.wrong(place, said);
            }
        }
    }
}

/// Taking a value and its place at once.
trait IntoInnerPlaced<T> {
    fn into_inner_placed(self) -> (T, ByteSpan);
}

impl<T> IntoInnerPlaced<T> for Spanned<T> {
    fn into_inner_placed(self) -> (T, ByteSpan) {
        let place = self.span();
        (self.into_inner(), place)
    }
}

/// The value, or the list item, that is not of this type.
fn misfit<'v, 'f>(
    kind: TomlType,
    value: &'v Spanned<DeValue<'f>>,
) -> Option<&'v Spanned<DeValue<'f>>> {
    let is_number = |value: &DeValue<'_>| matches!(value, DeValue::Integer(_) | DeValue::Float(_));
    match (kind, value.get_ref()) {
        (TomlType::Text, DeValue::String(_)) | (TomlType::Flag, DeValue::Boolean(_)) => None,
        (TomlType::Number, typed) if is_number(typed) => None,
        (TomlType::Table, DeValue::Table(_)) => None,
        (TomlType::Texts, DeValue::Array(list)) => {
            list.iter().find(|item| !item.get_ref().is_str())
        }
        (TomlType::Numbers, DeValue::Array(list)) => {
            list.iter().find(|item| !is_number(item.get_ref()))
        }
        (TomlType::Tables, DeValue::Array(list)) => {
            list.iter().find(|item| !item.get_ref().is_table())
        }
        _ => Some(value),
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
