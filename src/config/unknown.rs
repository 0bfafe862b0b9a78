//! Messages for unknown keys and tables: the nearest known one, or the table where the key belongs.

use super::{
    key::{ConfigKey, RULES, within},
    nearest::nearest,
    problem::ByteSpan,
};

/// An unknown key.
pub(super) struct UnknownKey {
    /// The table that contains it.
    pub(super) section: &'static str,
    pub(super) name: String,
    pub(super) place: ByteSpan,
    /// Whether it is a table at the top of the file.
    pub(super) is_table: bool,
    /// The known key or table that it is probably a typing error of.
    pub(super) near: Option<&'static str>,
}

/// Names of settings in other programs, with our table and key. First those of the servers' own configurations, then
/// fail2ban's, then those of ejabberd's mod_fail2ban.
const OTHER_WORDS: &[(&str, &str, &str)] = &[
    ("address", "component", "server"),
    ("host", "component", "server"),
    ("port", "component", "server"),
    ("jid", "component", "domain"),
    ("name", "component", "domain"),
    ("password", "component", "secret"),
    ("folder", "store", "path"),
    ("bind", "http", "listen"),
    ("maxretry", RULES, "limit"),
    ("findtime", RULES, "window"),
    ("bantime", RULES, "ban"),
    ("bantime", "ban", "default_duration"),
    ("ignoreip", "exempt", "networks"),
    ("c2s_max_auth_failures", RULES, "limit"),
    ("c2s_auth_ban_lifetime", RULES, "ban"),
];

impl UnknownKey {
    /// The message: the nearest key, or where the key belongs, and all known keys.
    pub(super) fn sentence(&self, known: &[ConfigKey], tables: &[&str]) -> String {
        let name = &self.name;
        if self.is_table {
            let hint = self.near.map(|near| format!(" did you mean [{near}]?"));
            let list: Vec<_> = tables.iter().map(|name| format!("[{name}]")).collect();
            let hint = hint.unwrap_or_default();
            return format!(
                "unknown table [{name}];{hint} known tables: {}",
                list.join(", ")
            );
        }
        let here = known.iter().filter(|key| key.section == self.section);
        let list: Vec<_> = here.map(|key| format!("`{}`", key.name)).collect();
        format!(
            "unknown key `{name}`{};{} known keys{}: {}",
            within(self.section),
            self.hint(known),
            if self.section.is_empty() {
                " there"
            } else {
                ""
            },
            list.join(", ")
        )
    }

    fn hint(&self, known: &[ConfigKey]) -> String {
        if let Some(near) = self.near {
            return format!(" did you mean `{near}`?");
        }
        if let Some((_, _, key)) = self.other_word(|section| section == self.section) {
            return format!(" did you mean `{key}`?");
        }
        match known.iter().find(|key| key.name == self.name) {
            Some(key) if key.section.is_empty() => {
                " it belongs at the top of the file, above the first [table];".to_owned()
            }
            Some(key) => format!(" it belongs{};", within(key.section)),
            None => match self.other_word(|section| section != "component") {
                Some((_, section, key)) => format!(" did you mean `{key}`{}?", within(section)),
                None => String::new(),
            },
        }
    }

    fn other_word(
        &self,
        section: impl Fn(&str) -> bool,
    ) -> Option<&'static (&'static str, &'static str, &'static str)> {
        let mut words = OTHER_WORDS.iter().filter(|(_, of, _)| section(of));
        words.find(|(word, ..)| nearest(&self.name, [*word]).is_some())
    }
}
