//! Reads one table of the file, key by key.
//!
//! A key is described once, where it is read: its type, what it takes, an example, and whether a change of it needs a
//! restart. Error messages, the list of keys that a mistyped one is compared with, and the values that a reload
//! compares all come from that one place. Keys that were left when a table has been read are unknown.

use std::{any::Any, fmt, ops::RangeInclusive, path::Path, sync::Arc, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Env,
    nearest::nearest,
    problem::{Found, Place},
    unknown::Unknown,
    values::{duration, one_of, term},
};
use crate::core::Term;

/// The section of the keys of one role.
pub(super) const ROLES: &str = "[roles]";
/// The section of the keys of one rule.
pub(super) const RULES: &str = "[rules]";
/// The section of the keys of a rule's growth.
pub(super) const GROWTH: &str = "growth";
/// The section of the keys of one room.
pub(super) const ROOMS: &str = "[rooms]";
/// The section of the keys of what a room grants.
pub(super) const GRANTS: &str = "grants";

/// One key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The table it stands in; empty for the top of the file.
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// Whether a change of it is only seen by a restart (SIGHUP is not enough).
    pub restart: bool,
}

impl Key {
    /// How a person would say it: "`domain` in `[component]`".
    pub(super) fn spoken(&self) -> String {
        format!("`{}`{}", self.name, within(self.section))
    }
}

/// `component.domain`, or `admins` for a key at the top.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.section {
            "" => f.write_str(self.name),
            section => write!(f, "{section}.{}", self.name),
        }
    }
}

/// " in `[component]`", or " at the top of the file".
pub(super) fn within(section: &str) -> String {
    match section {
        "" => " at the top of the file".to_owned(),
        GROWTH => " in `growth` of [[rules]]".to_owned(),
        GRANTS => " in `grants` of [[rooms]]".to_owned(),
        section => format!(" in [{section}]"),
    }
}

/// A key with the value that was read for it, defaults included.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) key: Key,
    value: Arc<dyn Same>,
}

impl Setting {
    /// Whether key and value are the same. Secrets are compared, and never shown.
    pub(super) fn same(&self, other: &Setting) -> bool {
        self.key == other.key && self.value.same(&*other.value)
    }
}

/// Only the key: the value may be a secret.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)
    }
}

/// A value of any type that can be compared with another one.
trait Same: Any + Send + Sync {
    fn same(&self, other: &dyn Same) -> bool;
}

impl<T: PartialEq + Any + Send + Sync> Same for T {
    fn same(&self, other: &dyn Same) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<T>() == Some(self)
    }
}

/// One pass over the file: what it may look at, and what it found.
pub(super) struct Reader<'f> {
    /// Relative paths start here.
    pub(super) folder: &'f Path,
    pub(super) env: Env<'f>,
    pub(super) found: Found<'f>,
    /// Why the file may hold no secret, if others can read it.
    pub(super) open_to_others: Option<String>,
    /// The sections whose values are judged; `None`: all. Types and names of keys are always judged.
    pub(super) only: Option<&'static [&'static str]>,
    pub(super) known: Vec<Key>,
    pub(super) tables: Vec<&'static str>,
    pub(super) unknown: Vec<Unknown>,
    pub(super) settings: Vec<Setting>,
}

impl<'f> Reader<'f> {
    pub(super) fn new(
        folder: &'f Path,
        env: Env<'f>,
        text: &'f str,
        only: Option<&'static [&'static str]>,
    ) -> Self {
        Reader {
            folder,
            env,
            found: Found::new(text),
            open_to_others: None,
            only,
            known: Vec::new(),
            tables: Vec::new(),
            unknown: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// Everything that was found, once all tables were read.
    pub(super) fn found(mut self) -> Found<'f> {
        for unknown in &self.unknown {
            let said = unknown.sentence(&self.known, &self.tables);
            self.found.wrong(Some(unknown.place.clone()), said);
        }
        self.found
    }
}

/// One table. When it is dropped, every key that nobody asked for is reported, and every required one that is missing.
pub(super) struct Table<'r, 'f> {
    pub(super) reader: &'r mut Reader<'f>,
    /// Whether changes of the keys read from now on need a restart.
    pub(super) restart: bool,
    section: &'static str,
    entries: DeTable<'f>,
    /// Where it stands, if it is one of a list.
    pub(super) place: Option<Place>,
    /// Empty, and read only to learn its keys.
    blank: bool,
    /// One of a list, or in one of a list: a reload compares only the list.
    listed: bool,
    /// It was no table, which has been reported: none of its keys is called missing.
    unusable: bool,
    missing: Vec<(&'static str, String)>,
}

/// TOML type of a value.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Texts,
    Number,
    Numbers,
    Table,
    Tables,
}

impl<'r, 'f> Table<'r, 'f> {
    pub(super) fn top(reader: &'r mut Reader<'f>, entries: DeTable<'f>) -> Self {
        Table {
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

    fn below(&mut self, section: &'static str, entries: DeTable<'f>) -> Table<'_, 'f> {
        let (restart, blank, listed) = (self.restart, self.blank, self.listed);
        let mut table = Table::top(self.reader, entries);
        (table.section, table.restart) = (section, restart);
        (table.blank, table.listed) = (blank, listed);
        table
    }

    /// The table `[name]`; an empty one if the file has none.
    pub(super) fn section(&mut self, name: &'static str) -> Table<'_, 'f> {
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

    /// The same table, whose keys are only read at the start of the program.
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
    ) -> Option<Table<'_, 'f>> {
        let read = self.take(Kind::Table, name, "a table".to_owned(), example.to_owned());
        let entries = match read.value {
            Some((DeValue::Table(entries), _)) => entries,
            _ if self.blank => DeTable::new(),
            _ => return None,
        };
        Some(self.below(section, entries))
    }

    /// A list of tables, each under a line `[[name]]`. `read` reads one of them, and asks for all keys before it gives up.
    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        section: &'static str,
        example: &str,
        mut read: impl FnMut(&mut Table<'_, 'f>) -> Option<T>,
    ) -> Read<'_, 'r, 'f, Vec<T>> {
        let marks = self.reader.found.marks();
        let mut blank = self.below(section, DeTable::new());
        (blank.blank, blank.listed) = (true, true);
        read(&mut blank);
        drop(blank);
        self.reader.found.back_to(marks);
        let takes = format!("a list of {name}");
        self.take(Kind::Tables, name, takes, example.to_owned())
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

    /// A text that means something.
    pub(super) fn text<T>(
        &mut self,
        name: &'static str,
        takes: &str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Read<'_, 'r, 'f, T> {
        let example = format!("\"{example}\"");
        self.take(Kind::Text, name, takes.to_owned(), example)
            .map(|_, value| parse(value.as_str().unwrap_or_default()))
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
        example: &str,
    ) -> Read<'_, 'r, 'f, T> {
        self.text(name, &listed(words), example, |text| one_of(text, words))
    }

    /// A finite length of time.
    pub(super) fn duration(
        &mut self,
        name: &'static str,
        example: &str,
    ) -> Read<'_, 'r, 'f, Duration> {
        self.text(name, "a duration", example, duration)
    }

    /// A length of time, or for ever.
    pub(super) fn term(&mut self, name: &'static str, example: &str) -> Read<'_, 'r, 'f, Term> {
        self.text(name, "a duration", example, term)
    }

    pub(super) fn flag(&mut self, name: &'static str, example: bool) -> Read<'_, 'r, 'f, bool> {
        self.take(
            Kind::Flag,
            name,
            "true or false".to_owned(),
            example.to_string(),
        )
        .map(|_, value| Ok(value.as_bool().unwrap_or_default()))
    }

    /// A number without a fraction, both bounds included.
    pub(super) fn whole(
        &mut self,
        name: &'static str,
        bounds: RangeInclusive<u32>,
        example: u32,
    ) -> Read<'_, 'r, 'f, u32> {
        let takes = match bounds.end() {
            &u32::MAX => format!("a whole number from {} on", bounds.start()),
            most => format!("a whole number from {} to {most}", bounds.start()),
        };
        let example = example.to_string();
        let read = self.take(Kind::Number, name, takes, example);
        read.ranged(|number| {
            let within = f64::from(*bounds.start())..=f64::from(*bounds.end());
            // The range makes the cast exact.
            (number.fract() == 0.0 && within.contains(&number)).then_some(number as u32)
        })
    }

    /// A number that `parse` takes.
    pub(super) fn number<T>(
        &mut self,
        name: &'static str,
        takes: &str,
        example: &str,
        parse: impl FnOnce(f64) -> Option<T>,
    ) -> Read<'_, 'r, 'f, T> {
        self.take(Kind::Number, name, takes.to_owned(), example.to_owned())
            .ranged(parse)
    }

    /// A list of numbers; `parse` is also given the ones before.
    pub(super) fn numbers<T>(
        &mut self,
        name: &'static str,
        example: &str,
        parse: impl Fn(f64, &[(T, Place)]) -> Result<T, String>,
    ) -> Read<'_, 'r, 'f, Vec<(T, Place)>> {
        self.take(
            Kind::Numbers,
            name,
            "a list of numbers".to_owned(),
            example.to_owned(),
        )
        .each(|value, before| parse(number(value), before))
    }

    /// A list of texts, each with its place; those that are wrong are reported one by one.
    pub(super) fn texts<T>(
        &mut self,
        name: &'static str,
        takes: &str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Read<'_, 'r, 'f, Vec<(T, Place)>> {
        self.take(Kind::Texts, name, takes.to_owned(), example.to_owned())
            .each(|value, _| parse(value.as_str().unwrap_or_default()))
    }

    /// Reports that the value of a key is wrong, if values of this table are judged.
    pub(super) fn wrong(&mut self, place: Option<Place>, said: impl Into<String>) {
        if self.is_judged() {
            self.reader.found.wrong(place, said);
        }
    }

    fn say(&mut self, key: Key, example: &str, place: Place, said: &str) {
        let said = format!(
            "{}: {said}; for example `{} = {example}`",
            key.spoken(),
            key.name
        );
        self.wrong(Some(place), said);
    }

    /// Warns of something that works, but probably not as meant.
    pub(super) fn odd(&mut self, place: Option<Place>, said: impl Into<String>) {
        self.reader.found.odd(place, said);
    }

    /// Whether values of this table are judged, and other files are looked at for it.
    pub(super) fn is_judged(&self) -> bool {
        self.reader
            .only
            .is_none_or(|only| only.contains(&self.section))
    }

    /// Notes the value of a key for reloads to compare. A list of tables is one value: nothing is noted inside of it.
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

    pub(super) fn key(&self, name: &'static str) -> Key {
        Key {
            section: self.section,
            name,
            restart: self.restart,
        }
    }

    fn take(
        &mut self,
        kind: Kind,
        name: &'static str,
        takes: String,
        example: String,
    ) -> Read<'_, 'r, 'f, DeValue<'f>> {
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
                Kind::Text => ", in quotes".to_owned(),
                Kind::Texts => ", each in quotes".to_owned(),
                Kind::Tables => format!(", each a table under a line [[{name}]]"),
                Kind::Flag | Kind::Number | Kind::Numbers | Kind::Table => String::new(),
            };
            // The value itself is not shown: it may be a secret.
            let said = format!(
                "{} must be {takes}{more}, not {}; for example `{name} = {example}`",
                key.spoken(),
                type_name(culprit.get_ref())
            );
            self.reader.found.wrong(Some(culprit.span()), said);
            None
        });
        Read {
            table: self,
            key,
            takes,
            example,
            was_there,
            value,
        }
    }
}

impl Drop for Table<'_, '_> {
    fn drop(&mut self) {
        let section = self.section;
        let reader = &mut *self.reader;
        let mut meant = Vec::new();
        // What is unknown in one of a list is enough to tell of it.
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
            reader.unknown.push(Unknown {
                section,
                name: name.get_ref().to_string(),
                place: name.span(),
                is_table,
                near,
            });
        }
        // What was mistyped is not missing as well.
        for (name, said) in std::mem::take(&mut self.missing) {
            if !is_told && !meant.contains(&name) {
                let place = self.place.clone();
                self.wrong(place, said);
            }
        }
    }
}

/// What was read for a key.
pub(super) struct Read<'t, 'r, 'f, T> {
    table: &'t mut Table<'r, 'f>,
    key: Key,
    takes: String,
    example: String,
    /// Whether the key is in the file, usable or not.
    pub(super) was_there: bool,
    value: Option<(T, Place)>,
}

impl<'t, 'r, 'f, T> Read<'t, 'r, 'f, T> {
    /// The value, or the default of a key that is not there.
    pub(super) fn or(self, default: T) -> T
    where
        T: Clone + PartialEq + Send + Sync + 'static,
    {
        let value = self.value.map_or(default, |(value, _)| value);
        self.table.keep(self.key.name, &value);
        value
    }

    /// The value, if there is one.
    pub(super) fn optional(self) -> Option<T>
    where
        T: Clone + PartialEq + Send + Sync + 'static,
    {
        let value = self.value.map(|(value, _)| value);
        self.table.keep(self.key.name, &value);
        value
    }

    /// The value and its place. Reloads do not compare it: that is left to [`Table::keep`].
    pub(super) fn placed(self) -> Option<(T, Place)> {
        self.value
    }

    /// The same, where a missing key is a problem.
    pub(super) fn required(self) -> Self {
        if !self.was_there && !self.table.unusable {
            let Key { section, name, .. } = self.key;
            let of = match section {
                ROLES => " of this role".to_owned(),
                ROOMS => " of this room".to_owned(),
                RULES => " of this rule".to_owned(),
                _ => within(section),
            };
            let said = format!(
                "`{name}`{of} is missing: {}; for example `{name} = {}`",
                self.takes, self.example
            );
            self.table.missing.push((name, said));
        }
        self
    }

    /// Reads on; what is wrong is reported with the key and the example.
    pub(super) fn map<U>(
        self,
        read: impl FnOnce(&mut Table<'r, 'f>, T) -> Result<U, String>,
    ) -> Read<'t, 'r, 'f, U> {
        let Read {
            table,
            key,
            takes,
            example,
            was_there,
            value,
        } = self;
        let value = value.and_then(|(value, place)| {
            let read =
                read(table, value).map_err(|said| table.say(key, &example, place.clone(), &said));
            Some((read.ok()?, place))
        });
        Read {
            table,
            key,
            takes,
            example,
            was_there,
            value,
        }
    }
}

impl<'t, 'r, 'f> Read<'t, 'r, 'f, DeValue<'f>> {
    fn ranged<T>(self, parse: impl FnOnce(f64) -> Option<T>) -> Read<'t, 'r, 'f, T> {
        let takes = self.takes.clone();
        self.map(|_, value| {
            let number = number(&value);
            parse(number).ok_or_else(|| format!("{number} is not {takes}"))
        })
    }

    /// Reads each value of a list, given those before it.
    fn each<T>(
        self,
        mut read: impl FnMut(&DeValue<'f>, &[(T, Place)]) -> Result<T, String>,
    ) -> Read<'t, 'r, 'f, Vec<(T, Place)>> {
        let (key, example) = (self.key, self.example.clone());
        let mut is_right = true;
        let read = self.map(|table, value| {
            let mut all = Vec::new();
            let list = match value {
                DeValue::Array(list) => list,
                _ => return Ok(all),
            };
            for one in list {
                match read(one.get_ref(), &all) {
                    Ok(value) => all.push((value, one.span())),
                    Err(said) => {
                        is_right = false;
                        table.say(key, &example, one.span(), &said);
                    }
                }
            }
            Ok(all)
        });
        let value = read.value.filter(|_| is_right);
        Read { value, ..read }
    }
}

impl<T: Clone + PartialEq + Send + Sync + 'static> Read<'_, '_, '_, Vec<(T, Place)>> {
    /// The values without their places; none if the key is not there.
    pub(super) fn list(self) -> Vec<T> {
        let list: Vec<T> = self
            .value
            .into_iter()
            .flat_map(|(list, _)| list)
            .map(|(value, _)| value)
            .collect();
        self.table.keep(self.key.name, &list);
        list
    }
}

/// Taking a value and its place at once.
trait IntoInnerPlaced<T> {
    fn into_inner_placed(self) -> (T, Place);
}

impl<T> IntoInnerPlaced<T> for Spanned<T> {
    fn into_inner_placed(self) -> (T, Place) {
        let place = self.span();
        (self.into_inner(), place)
    }
}

/// What is not of this type: the value, or one in its list.
fn misfit<'v, 'f>(kind: Kind, value: &'v Spanned<DeValue<'f>>) -> Option<&'v Spanned<DeValue<'f>>> {
    let is_number = |value: &DeValue<'_>| matches!(value, DeValue::Integer(_) | DeValue::Float(_));
    match (kind, value.get_ref()) {
        (Kind::Text, DeValue::String(_)) | (Kind::Flag, DeValue::Boolean(_)) => None,
        (Kind::Number, typed) if is_number(typed) => None,
        (Kind::Table, DeValue::Table(_)) => None,
        (Kind::Texts, DeValue::Array(list)) => list.iter().find(|item| !item.get_ref().is_str()),
        (Kind::Numbers, DeValue::Array(list)) => {
            list.iter().find(|item| !is_number(item.get_ref()))
        }
        (Kind::Tables, DeValue::Array(list)) => list.iter().find(|item| !item.get_ref().is_table()),
        _ => Some(value),
    }
}

/// Not a number if it is none.
fn number(value: &DeValue<'_>) -> f64 {
    match value {
        DeValue::Integer(typed) => {
            i64::from_str_radix(&typed.as_str().replace('_', ""), typed.radix())
                .map_or(f64::NAN, |number| number as f64)
        }
        DeValue::Float(typed) => typed.as_str().replace('_', "").parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
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

/// `"a", "b" or "c"`.
fn listed<T>(words: &[(&'static str, T)]) -> String {
    let words: Vec<_> = words
        .iter()
        .map(|(word, _)| format!("\"{word}\""))
        .collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
