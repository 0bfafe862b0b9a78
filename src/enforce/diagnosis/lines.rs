//! The exact configuration lines to add on a server, and where they go.

use crate::enforce::probe::Software;

/// The lines that give the component its rights on a virtual host; for an unknown server those of both.
pub(super) fn rights(kind: Software, vhost: &str, component: &str) -> String {
    match kind {
        Software::Ejabberd => ejabberd_rights(component),
        Software::Prosody => prosody_rights(vhost, component),
        Software::Unknown => format!(
            "{}\n\n{}",
            ejabberd_rights(component),
            prosody_rights(vhost, component)
        ),
    }
}

/// The steps that install the hook module; for an unknown server those of both.
pub(super) fn module(kind: Software, vhost: &str, component: &str) -> String {
    match kind {
        Software::Ejabberd => ejabberd_module(component),
        Software::Prosody => prosody_module(vhost, component),
        Software::Unknown => format!(
            "{}\n\n{}",
            ejabberd_module(component),
            prosody_module(vhost, component)
        ),
    }
}

fn ejabberd_module(component: &str) -> String {
    format!(
        r#"ejabberd (each node of a cluster), as root with the server running; the folder server/ejabberd/mod_portcullis
comes with portcullis:

apt install erlang-dev
install -d -o ejabberd -g ejabberd /var/lib/ejabberd/.ejabberd-modules/sources
cp -r server/ejabberd/mod_portcullis /var/lib/ejabberd/.ejabberd-modules/sources/
chown -R ejabberd: /var/lib/ejabberd/.ejabberd-modules
ejabberdctl started && ejabberdctl module_install mod_portcullis

Only then, in /etc/ejabberd/modules.d/mod_portcullis.yml, and `ejabberdctl reload_config`:

modules:
  mod_portcullis:
    component: {component}"#
    )
}

fn prosody_module(vhost: &str, component: &str) -> String {
    format!(
        r#"Prosody 13; the folders server/prosody/mod_portcullis* come with portcullis:

cp -r server/prosody/mod_portcullis* /usr/local/lib/prosody/modules/

In prosody.cfg.lua, then restart Prosody:

VirtualHost "{vhost}"
	modules_enabled = {{ "portcullis" }}   -- besides what is there already
	portcullis_component = "{component}""#
    )
}

/// The same for 24.12 and 26.07. mod_privilege takes the name of an access *rule*: with the name of an acl the file
/// loads and nothing is granted.
fn ejabberd_rights(component: &str) -> String {
    format!(
        r#"ejabberd (24.06 or later), in ejabberd.yml; add to the sections that are there, then restart ejabberd or
reload its configuration and restart portcullis (grants are given when it connects):

acl:
  portcullis:
    server: {component}

access_rules:
  portcullis_rule:
    allow: portcullis
  configure:
    allow: admin
    allow: portcullis

listen:
  - port: 5347
    ip: "127.0.0.1"
    module: ejabberd_service
    access: all
    global_routes: false
    hosts:
      {component}:
        password: "THE SECRET OF portcullis.toml"

modules:
  mod_adhoc: {{}}
  mod_configure: {{}}
  mod_last: {{}}
  mod_private: {{}}
  mod_privilege:
    iq:
      "jabber:iq:private":
        both: portcullis_rule
      "http://jabber.org/protocol/commands":   # needed up to 24.12 only
        both: portcullis_rule

Up to 24.12 admin commands are run in the name of an admin: name one of this server's in `admins` of portcullis.toml."#
    )
}

pub(super) fn prosody_rights(vhost: &str, component: &str) -> String {
    format!(
        r#"Prosody (13 or later), in prosody.cfg.lua; mod_privilege is in the package prosody-modules. Then restart Prosody:

modules_enabled = {{
	-- and what is there already
	"private"; "privilege"; "adhoc"; "admin_adhoc";
}}

VirtualHost "{vhost}"
	admins = {{ "{component}" }}   -- and the global ones, which this line replaces for this host
	privileged_entities = {{
		["{component}"] = {{ iq = {{ ["jabber:iq:private"] = "both" }} }};
	}}

Component "{component}"
	component_secret = "THE SECRET OF portcullis.toml"
	component_conflict_resolve = "kick_old"
	modules_enabled = {{ "privilege" }}   -- needed here too, else nothing is granted"#
    )
}

pub(super) fn cookie() -> String {
    String::from(
        r#"Install the hook module: with it no cookie is needed. Or give portcullis a copy of the server's cookie, as root, and
again whenever the server gets another one; then restart portcullis:

install -o portcullis -m 0400 /var/lib/ejabberd/.erlang.cookie /etc/portcullis/erlang.cookie

In portcullis.toml:

[record]
ejabberd_cookie_file = "/etc/portcullis/erlang.cookie""#,
    )
}

pub(super) fn own_cookie() -> String {
    String::from(
        r#"Use the hook module: with it no hash needs to be written. Or give the server a cookie of real randomness, on every node
of a cluster. Stop ejabberd first: ejabberdctl does not reach it with another cookie than it was started with.

systemctl stop ejabberd
install -m 400 -o ejabberd -g ejabberd /dev/null /var/lib/ejabberd/.erlang.cookie
head -c 24 /dev/urandom | base64 | tr -d '\n' > /var/lib/ejabberd/.erlang.cookie
systemctl start ejabberd

If portcullis has a copy of the cookie, copy it again and restart portcullis."#,
    )
}
