//! The keys of the configuration, with their values for reloads.

use std::{any::Any, fmt, sync::Arc};

/// The section of the keys of one role.
pub(super) const ROLES: &str = "[roles]";
/// The section of the keys of one rule.
pub(super) const RULES: &str = "[rules]";
/// The section of the keys of a rule's growth.
pub(super) const GROWTH: &str = "growth";
/// The section of the keys of one room.
pub(super) const ROOMS: &str = "[rooms]";
/// The section of the keys of a room's grants.
pub(super) const GRANTS: &str = "grants";

/// A key of the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// The table that contains it; empty for the top of the file.
    pub section: &'static str,
    /// Its name in the table.
    pub name: &'static str,
    /// Whether a change takes effect only at a restart (SIGHUP is not enough).
    pub restart: bool,
}

impl ConfigKey {
    /// The key in a sentence: "`domain` in `[component]`".
    pub(super) fn spoken(&self) -> String {
        format!("`{}`{}", self.name, within(self.section))
    }
}

/// `component.domain`, or `admins` for a key at the top.
impl fmt::Display for ConfigKey {
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

/// A key with its current value; defaults included.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) key: ConfigKey,
    pub(super) value: Arc<dyn Same>,
}

impl Setting {
    /// Whether key and value are equal. Secrets are compared and never shown.
    pub(super) fn same(&self, other: &Setting) -> bool {
        self.key == other.key && self.value.same(&*other.value)
    }
}

/// Only the key, because the value may be a secret.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)
    }
}

/// A value of any type that can be compared with another.
pub(super) trait Same: Any + Send + Sync {
    fn same(&self, other: &dyn Same) -> bool;
}

impl<T: PartialEq + Any + Send + Sync> Same for T {
    fn same(&self, other: &dyn Same) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<T>() == Some(self)
    }
}
