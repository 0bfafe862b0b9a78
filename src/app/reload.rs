//! Takes over what can change without a restart, and says what cannot.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Config;
use crate::enforce::XmppServer;
use crate::front::Desk;
use crate::gate::Gate;
use crate::logs::Logs;

/// What a reload reads, and what it changes.
pub(super) struct Reload {
    file: PathBuf,
    config: Config,
    logs: Logs,
    gate: Arc<Gate>,
    server: Arc<XmppServer>,
    desk: Arc<Desk>,
}

impl Reload {
    pub(super) fn new(
        file: PathBuf,
        config: Config,
        logs: Logs,
        gate: Arc<Gate>,
        server: Arc<XmppServer>,
        desk: Arc<Desk>,
    ) -> Self {
        Reload {
            file,
            config,
            logs,
            gate,
            server,
            desk,
        }
    }

    /// Reads the file again. A file that is wrong changes nothing.
    pub(super) async fn again(&mut self) {
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || {
            Config::load(&file, &|name| std::env::var_os(name))
        });
        let new = match read.await {
            Ok(Ok(new)) => new,
            Ok(Err(problems)) => {
                tracing::error!("the configuration is wrong and was not taken over:\n{problems}");
                return;
            }
            Err(why) => {
                tracing::error!(%why, "cannot read the configuration");
                return;
            }
        };
        let (mut taken, mut waiting) = (Vec::new(), Vec::new());
        for key in self.config.changes(&new) {
            let list = if key.restart {
                &mut waiting
            } else {
                &mut taken
            };
            list.push(key.to_string());
        }
        self.gate.set_policy(new.policy());
        self.desk.set_roles(super::settings::roles(&new));
        self.desk.set_notices(new.notices);
        self.desk.rooms().configure(new.rooms.clone());
        self.server.set_admins(
            new.admins.clone(),
            self.config.act_as.clone(),
            new.hook_hosts.clone(),
        );
        self.logs.set(&new.log.levels);
        for warning in &new.warnings {
            tracing::warn!(file = %self.file.display(), "{warning}");
        }
        tracing::info!(
            changed = taken.join(", "),
            "the configuration was read again"
        );
        if !waiting.is_empty() {
            tracing::warn!(
                settings = waiting.join(", "),
                "these changes take hold at the next restart"
            );
        }
        // What waits for a restart is compared with what runs, not with what was read last.
        self.config.admins = new.admins;
        self.config.moderators = new.moderators;
        self.config.viewers = new.viewers;
        self.config.roles = new.roles;
        self.config.ban = new.ban;
        self.config.exempt = new.exempt;
        self.config.rules = new.rules;
        self.config.rooms = new.rooms;
        self.config.hook_hosts = new.hook_hosts;
        self.config.notices = new.notices;
        self.config.log.levels = new.log.levels;
    }
}
