//! Reload on SIGHUP: applies the changes that need no restart, and logs the ones that do.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{Config, ConfigKey};
use crate::enforce::XmppServer;
use crate::engine::Engine;
use crate::front::{Bot, Notices, Roles};
use crate::logs::Logs;

/// The parts that a reload reads and changes.
pub(super) struct Reload {
    pub(super) file: PathBuf,
    pub(super) config: Config,
    pub(super) logs: Logs,
    pub(super) engine: Arc<Engine>,
    pub(super) server: Arc<XmppServer>,
    pub(super) bot: Arc<Bot>,
    pub(super) notices: Arc<Notices>,
}

impl Reload {
    /// Reads the configuration again and applies it. A file with any problem changes nothing.
    pub(super) async fn again(&mut self) {
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || {
            Config::load(&file, &|name| std::env::var_os(name))
        });
        let new = match read.await {
            Ok(Ok(new)) => new,
            Ok(Err(problems)) => {
                tracing::error!("the configuration has mistakes and was not applied:\n{problems}");
                return;
            }
            Err(why) => {
                tracing::error!(%why, "cannot read the configuration");
                return;
            }
        };
        let changes = KeyChanges::between(&self.config, &new);
        self.engine.set_policy(new.policy.clone());
        self.bot.set_roles(Roles::new(new.granted.clone()));
        self.notices.set(new.notices);
        self.bot.rooms().configure(new.rooms.clone());
        self.server.set_admins(
            new.server.admins.clone(),
            self.config.server.act_as.clone(),
            new.server.hook_hosts.clone(),
        );
        self.logs.set(&new.log_levels);
        for warning in &new.warnings {
            tracing::warn!(file = %self.file.display(), "{warning}");
        }
        changes.log();
        self.config.reloaded(&new);
    }
}

/// The keys that differ between two configurations.
#[derive(Debug, PartialEq, Eq)]
struct KeyChanges {
    /// Applied at once.
    taken: Vec<String>,
    /// Applied at the next restart.
    waiting: Vec<String>,
}

impl KeyChanges {
    fn between(old: &Config, new: &Config) -> Self {
        let (waiting, taken): (Vec<_>, Vec<_>) =
            old.changes(new).into_iter().partition(|key| key.restart);
        let names = |keys: Vec<ConfigKey>| keys.iter().map(ToString::to_string).collect();
        KeyChanges {
            taken: names(taken),
            waiting: names(waiting),
        }
    }

    fn log(&self) {
        let changed = self.taken.join(", ");
        tracing::info!(changed, "the configuration was read again");
        if !self.waiting.is_empty() {
            let settings = self.waiting.join(", ");
            tracing::warn!(settings, "these changes take effect at the next restart");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn config(more: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("portcullis.toml");
        let text =
            format!("admins = ['a@example.org']\n[component]\ndomain = 'bans.example.org'\n{more}");
        fs::write(&file, text).unwrap();
        let key = "k1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        let env = |name: &str| match name {
            crate::config::ENV_SECRET => Some("secret".into()),
            crate::config::ENV_SEAL_KEYS => Some(key.into()),
            _ => None,
        };
        Config::load(&file, &env).unwrap()
    }

    #[test]
    fn a_reload_says_what_it_took_and_what_waits_for_a_restart() {
        let mut runs = config("");
        let new = config(
            "server = '127.0.0.1:5348'\n[ban]\nlongest = '1y'\n[tracker]\nquiet = '2h'\nmax_keys = 5000\n",
        );
        let found = KeyChanges::between(&runs, &new);
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| String::from(*name))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            found.waiting,
            names(&["component.server", "tracker.max_keys"])
        );
        assert_eq!(
            found.taken,
            names(&["ban.longest", "ban.default_duration", "tracker.quiet"])
        );
        runs.reloaded(&new);
        let again = KeyChanges::between(&runs, &new);
        assert_eq!((again.waiting, again.taken), (found.waiting, Vec::new()));
    }

    #[test]
    fn the_same_file_changes_nothing() {
        let same = KeyChanges::between(&config(""), &config("[ban]\nlongest = 'forever'\n"));
        assert_eq!((same.taken, same.waiting), (Vec::new(), Vec::new()));
    }
}
