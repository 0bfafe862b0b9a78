//! What is missing on the server, what follows from that, and the lines that mend it (`lines.rs`).

mod lines;

use super::clock_skew::ClockSkew;
use super::module_nodes::Modules;
use super::privilege::Right;
use super::probe::{HostCapabilities, Software};
use crate::delivery::ports::{Enforcement, Gap};

/// What the lines are written for.
#[derive(Debug, Clone)]
pub(crate) struct Names<'a> {
    /// Domain of the component.
    pub(crate) component: &'a str,
    /// Whether the settings name ejabberd's cookie.
    pub(crate) has_cookie: bool,
    /// Whether that cookie is one that Erlang made itself.
    pub(crate) guessable_cookie: bool,
    /// The domain that is taken for a virtual host only because ours is below it.
    pub(crate) implied: Option<&'a str>,
}

/// Whether bans of accounts of a virtual host take hold.
pub(crate) fn is_enforcing(host: &HostCapabilities, has_cookie: bool) -> bool {
    let kicks = host.offers("end-user-session");
    match host.kind {
        Software::Prosody => host.offers("disable-user") && host.disables != Some(false),
        Software::Ejabberd | Software::Unknown => {
            host.keeps_records() && kicks && makes_hashes(host, has_cookie)
        }
    }
}

/// Whether the right hash can be had: from the cookie, or from the server by disabling an account (25.10 and later).
fn makes_hashes(host: &HostCapabilities, has_cookie: bool) -> bool {
    (has_cookie && host.cookie != Some(false)) || host.offers("disable-user")
}

/// What the server lets us do, for people.
pub(crate) fn standing(
    linked: bool,
    probed: bool,
    hosts: &[&HostCapabilities],
    modules: &Modules,
    names: &Names<'_>,
) -> Enforcement {
    if !linked {
        return Enforcement::default();
    }
    let ours: Vec<&HostCapabilities> = hosts
        .iter()
        .copied()
        .filter(|host| host.is_ours() || modules.address(&host.vhost).is_some())
        .collect();
    let level = match modules.addresses().next() {
        Some(_) => 2,
        None => u8::from(ours.iter().any(|host| is_enforcing(host, names.has_cookie))),
    };
    let software = |hosts: &[&HostCapabilities]| {
        let known = hosts.iter().find(|host| host.kind != Software::Unknown);
        known.map(|host| host.software()).unwrap_or_default()
    };
    let server = match software(&ours) {
        name if name.is_empty() => software(hosts),
        name => name,
    };
    let mut standing = Enforcement {
        linked,
        probed,
        level,
        server,
        ..Enforcement::default()
    };
    if !probed {
        return standing;
    }
    for host in &ours {
        standing.has.extend(has(host));
        if names.implied == Some(&host.vhost) {
            standing.has.push(format!(
                "{0} is believed because {1} is below it; if {0} is not on this server, whoever runs it is believed: choose another component.domain",
                host.vhost, names.component
            ));
        }
        match modules.address(&host.vhost) {
            Some(_) => with_module(host, modules, names, &mut standing),
            None => {
                standing.gaps.extend(gaps(host, names));
                standing.gaps.push(no_module(host.kind, &host.vhost, names));
            }
        }
    }
    if ours.is_empty() {
        standing.gaps.push(no_rights(hosts, names));
        let (kind, vhost) = likely(hosts);
        standing.gaps.push(no_module(kind, vhost, names));
    }
    standing
}

fn has(host: &HostCapabilities) -> Vec<String> {
    let vhost = &host.vhost;
    let mut has = vec![format!("{vhost} runs {}", host.software())];
    if host.keeps_records() {
        has.push(format!(
            "{vhost}: ban records can be read and written (XEP-0356)"
        ));
    }
    match &host.route {
        Some(super::admin::Route::Direct) => {
            has.push(format!("{vhost}: admin commands can be run (XEP-0133)"))
        }
        Some(super::admin::Route::As(admin)) => {
            has.push(format!(
                "{vhost}: admin commands can be run in the name of {admin} (XEP-0133, XEP-0356)"
            ));
        }
        None => {}
    }
    has
}

fn gaps(host: &HostCapabilities, names: &Names<'_>) -> Vec<Gap> {
    match host.kind {
        Software::Prosody => prosody_gaps(host, names),
        Software::Ejabberd | Software::Unknown => ejabberd_gaps(host, names),
    }
}

fn ejabberd_gaps(host: &HostCapabilities, names: &Names<'_>) -> Vec<Gap> {
    let vhost = &host.vhost;
    let mut gaps = Vec::new();
    if host.record != Right::Both {
        gaps.push(Gap {
            what: format!("{vhost} does not let portcullis read and write ban records"),
            effect: format!(
                "Bans of accounts at {vhost} are kept here and are not in force on the server."
            ),
            remedy: lines::rights(host.kind, vhost, names.component),
        });
    } else if !host.answers {
        gaps.push(Gap {
            what: format!("{vhost} granted ban records and does not answer"),
            effect: format!("Bans of accounts at {vhost} wait until it does."),
            remedy: String::from(
                "Check in ejabberd.yml that mod_private is loaded on this host, and that no second program connects as the \
                 same component: when one of two leaves, the other loses its rights. Then restart portcullis.",
            ),
        });
    }
    if host.route.is_none() {
        gaps.push(Gap {
            what: format!("{vhost} does not let portcullis run admin commands"),
            effect: format!(
                "Bans of accounts at {vhost} wait: open sessions cannot be closed, and a user who is connected could undo the ban."
            ),
            remedy: lines::rights(host.kind, vhost, names.component),
        });
    }
    if host.keeps_records() && !makes_hashes(host, names.has_cookie) {
        gaps.push(Gap {
            what: format!("the hash that makes {vhost} refuse a login cannot be made"),
            effect: format!(
                "Bans of accounts at {vhost} are written and sessions closed, but the server lets the user in again."
            ),
            remedy: lines::cookie(),
        });
    }
    if names.guessable_cookie && host.kind == Software::Ejabberd {
        gaps.push(Gap {
            what: format!("the cookie of {vhost}'s server is one that Erlang made itself"),
            effect: String::from(
                "Such a cookie can be computed from the hash in a ban record, and a user whose session is open reads her own record; \
                 with the cookie and a reachable Erlang port she would command the server.",
            ),
            remedy: lines::own_cookie(),
        });
    }
    if host.cookie == Some(false) {
        gaps.push(Gap {
            what: format!("ejabberd_cookie_file does not hold the cookie of {vhost}'s server"),
            effect: String::from(
                "portcullis learns each account's hash from the server instead, which works for existing accounts only.",
            ),
            remedy: lines::cookie(),
        });
    }
    gaps
}

fn prosody_gaps(host: &HostCapabilities, names: &Names<'_>) -> Vec<Gap> {
    let vhost = &host.vhost;
    let mut gaps = Vec::new();
    if !host.offers("disable-user") {
        gaps.push(Gap {
            what: format!("{vhost} does not let portcullis disable accounts"),
            effect: format!(
                "Bans of accounts at {vhost} are kept here and are not in force on the server."
            ),
            remedy: lines::prosody_rights(vhost, names.component),
        });
    }
    if host.disables == Some(false) {
        gaps.push(Gap {
            what: format!("the accounts of {vhost} cannot be disabled"),
            effect: format!("Bans of accounts at {vhost} are not in force: the way passwords are stored there knows no disabled accounts."),
            remedy: format!(
                "In prosody.cfg.lua:\n\nVirtualHost \"{vhost}\"\n\tauthentication = \"internal_hashed\"   -- internal_plain cannot disable accounts\n"
            ),
        });
    }
    if !host.keeps_records() {
        gaps.push(Gap {
            what: format!("{vhost} does not let portcullis read and write ban records"),
            effect: String::from(
                "Bans work; their reason and end are not kept on the server as well.",
            ),
            remedy: lines::prosody_rights(vhost, names.component),
        });
    }
    gaps
}

/// The virtual host that is most likely the one to set up.
fn likely<'a>(hosts: &[&'a HostCapabilities]) -> (Software, &'a str) {
    let known = hosts
        .iter()
        .find(|host| host.kind != Software::Unknown)
        .or(hosts.first());
    known.map_or((Software::Unknown, "example.org"), |host| {
        (host.kind, host.vhost.as_str())
    })
}

fn no_rights(hosts: &[&HostCapabilities], names: &Names<'_>) -> Gap {
    let (kind, vhost) = likely(hosts);
    Gap {
        what: String::from("the server gives portcullis no rights"),
        effect: String::from(
            "Nothing is enforced: bans are kept, listed and wait until the server lets portcullis act.",
        ),
        remedy: lines::rights(kind, vhost, names.component),
    }
}

/// What the module of a virtual host says, and what is still missing beside it.
fn with_module(
    host: &HostCapabilities,
    modules: &Modules,
    names: &Names<'_>,
    standing: &mut Enforcement,
) {
    let vhost = &host.vhost;
    for node in modules.nodes(vhost) {
        let hello = &node.hello;
        let behind = match node.behind {
            0 => String::from("knows every ban"),
            behind => format!("was {behind} decisions behind"),
        };
        standing.has.push(format!(
            "{vhost}: the hook module {} answers on {} ({} {}) and {behind}",
            hello.module, hello.node, hello.software, hello.version
        ));
        if let Some(skew) = node.skew {
            standing.gaps.push(other_time(&hello.node, skew));
        }
        if let Some(trouble) = &hello.trouble {
            standing.gaps.push(Gap {
                what: format!("the hook module on {} is in trouble: {trouble}", hello.node),
                effect: format!(
                    "Logins at {vhost} are still asked about; bans may not hold there while portcullis is away."
                ),
                remedy: String::from("See the log of the server; portcullis shows this until the module says that all is well."),
            });
        }
    }
    if host.kind != Software::Prosody && host.record != Right::Both {
        standing.gaps.push(Gap {
            what: format!("{vhost} does not let portcullis read and write ban records"),
            effect: format!(
                "Bans of accounts at {vhost} are in force by the hook module alone, and not while it is switched off."
            ),
            remedy: lines::rights(host.kind, vhost, names.component),
        });
    }
}

fn other_time(node: &str, skew: ClockSkew) -> Gap {
    Gap {
        what: format!("the clocks of {node} and of portcullis differ"),
        effect: format!(
            "The clock there is {skew} the one here: the module corrects for it; the dates in the logs of the two do not match."
        ),
        remedy: String::from(
            "Let both machines set their clocks by NTP (timedatectl shows whether they do).",
        ),
    }
}

fn no_module(kind: Software, vhost: &str, names: &Names<'_>) -> Gap {
    Gap {
        what: format!("the hook module is not on {vhost}"),
        effect: String::from(
            "No login is asked about or reported: bans of addresses and networks refuse nobody there, and guessers are not noticed.",
        ),
        remedy: lines::module(kind, vhost, names.component),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::admin::Route;

    const NAMES: Names<'_> = Names {
        component: "portcullis.example.org",
        has_cookie: true,
        guessable_cookie: false,
        implied: None,
    };

    fn full(kind: Software) -> HostCapabilities {
        HostCapabilities {
            kind,
            version: Some("1".into()),
            granted: true,
            record: Right::Both,
            answers: true,
            route: Some(Route::Direct),
            commands: ["end-user-session", "disable-user"]
                .map(str::to_owned)
                .into(),
            ..HostCapabilities::unknown("example.org")
        }
    }

    fn check(host: &HostCapabilities, names: &Names<'_>, level: u8, gaps: &[&str]) {
        let standing = standing(true, true, &[host], &Modules::default(), names);
        let what: Vec<_> = standing.gaps.iter().map(|gap| gap.what.as_str()).collect();
        assert_eq!(standing.level, level, "{what:?}");
        assert_eq!(what.len(), gaps.len() + 1, "{what:?}");
        for gap in gaps {
            assert!(
                what.iter().any(|what| what.contains(gap)),
                "{gap:?} is not in {what:?}"
            );
        }
        assert!(what.iter().any(|what| what.contains("hook module")));
    }

    #[test]
    fn nothing_is_missing_where_everything_is_there() {
        check(&full(Software::Ejabberd), &NAMES, 1, &[]);
        check(&full(Software::Prosody), &NAMES, 1, &[]);
    }

    #[test]
    fn what_is_missing_is_named() {
        check(
            &HostCapabilities {
                record: Right::Get,
                ..full(Software::Ejabberd)
            },
            &NAMES,
            0,
            &["ban records"],
        );
        check(
            &HostCapabilities {
                answers: false,
                ..full(Software::Ejabberd)
            },
            &NAMES,
            0,
            &["does not answer"],
        );
        check(
            &HostCapabilities {
                route: None,
                ..full(Software::Ejabberd)
            },
            &NAMES,
            0,
            &["admin commands"],
        );
        check(
            &HostCapabilities {
                route: None,
                ..full(Software::Prosody)
            },
            &NAMES,
            0,
            &["disable accounts"],
        );
        check(
            &HostCapabilities {
                disables: Some(false),
                ..full(Software::Prosody)
            },
            &NAMES,
            0,
            &["cannot be disabled"],
        );
        check(
            &HostCapabilities {
                record: Right::None,
                ..full(Software::Prosody)
            },
            &NAMES,
            1,
            &["ban records"],
        );
        check(
            &HostCapabilities {
                cookie: Some(false),
                ..full(Software::Ejabberd)
            },
            &NAMES,
            1,
            &["does not hold the cookie"],
        );
    }

    #[test]
    fn without_a_cookie_an_old_ejabberd_enforces_nothing_and_a_new_one_does() {
        let names = Names {
            has_cookie: false,
            ..NAMES
        };
        check(&full(Software::Ejabberd), &names, 1, &[]);
        let old = HostCapabilities {
            commands: ["end-user-session"].map(str::to_owned).into(),
            ..full(Software::Ejabberd)
        };
        check(&old, &names, 0, &["hash"]);
        check(&old, &NAMES, 1, &[]);
    }

    #[test]
    fn before_anything_is_known_both_servers_lines_are_shown() {
        let nothing = HostCapabilities::unknown("example.org");
        let standing = standing(true, true, &[&nothing], &Modules::default(), &NAMES);
        let remedy = &standing.gaps[0].remedy;
        for line in [
            "mod_privilege:",
            "both: portcullis_rule",
            "server: portcullis.example.org",
            "VirtualHost \"example.org\"",
            "privileged_entities",
        ] {
            assert!(remedy.contains(line), "{line}");
        }
        assert_eq!(standing.level, 0);
        assert!(
            super::standing(true, false, &[], &Modules::default(), &NAMES)
                .gaps
                .is_empty(),
            "nothing is missing before it was looked for"
        );
        assert!(!super::standing(false, false, &[], &Modules::default(), &NAMES).linked);
    }
}
