//! Sentences about refusals by the rules.

use crate::core::refusal::{Permission, Refusal};
use crate::core::time::in_words;
use crate::core::{Account, BanId, Subject};

/// What prevents an order, without what to do about it.
pub(crate) fn why_refused(why: &Refusal) -> String {
    match why {
        Refusal::OwnAccount(account) => format!(
            "{account} is your own account; you would lock yourself out. Ask another admin."
        ),
        Refusal::OwnAddress(subject, address) => format!(
            "{subject} covers {address}, where you are connected from; you would lock yourself out."
        ),
        Refusal::Exempt(subject, by) | Refusal::Allowed(subject, by) => {
            format!("{subject} is exempt from bans ({by}).")
        }
        Refusal::Above(subject) => match subject.whose() {
            Some(account) => format!(
                "{account} is an admin, or exempt by the configuration; to ban or kick it, also from one place only, or to change anything about an admin, needs the role admin: on all its hosts, or everywhere."
            ),
            None => format!(
                "An admin logs in from {subject}; to ban it or to end sessions there needs the role admin."
            ),
        },
        Refusal::NotHere(subject, hosts) => not_here(subject, hosts),
        Refusal::Protected(subject, by) => format!(
            "{subject} is exempt from bans by the configuration ({by}), and --force does not change that: a ban there can shut the server's own ways. Take it out of [exempt] first if you mean it."
        ),
        Refusal::NoExemption(subject) => {
            format!("{subject} cannot be exempt; allow the account, the address or the network.")
        }
        Refusal::TooLong(longest, role) => format!(
            "That is too long: the longest ban for the role {role} is {}.",
            in_words(*longest)
        ),
        Refusal::EndsInThePast(end) => {
            format!("{end} is in the past. Name a later end.")
        }
        Refusal::TextTooLong(what, most) => {
            format!("The {what} is too long: at most {most} characters.")
        }
        Refusal::NeedsRole(role, what) => format!("{} needs the role {role}.", permission(*what)),
        Refusal::NotYours(BanId(0), by) => format!(
            "The ban, in memory only, was made by {by}. Moderators end and change their own bans only; that needs the role admin."
        ),
        Refusal::NotYours(ban, by) => format!(
            "Ban {ban} was made by {by}. Moderators end and change their own bans only; that needs the role admin."
        ),
        Refusal::NotYourChange(subject, by) => format!(
            "What was done last to {subject} was done by {by}. To undo what others did needs the role admin."
        ),
        Refusal::TooLate(at, within) => format!(
            "That was done {at}; things can be undone for {} only.",
            in_words(*within)
        ),
        Refusal::OverByNow(ban, end) => format!(
            "Ban {ban} would stand until {end}, which is over, so there is nothing to go back to."
        ),
        Refusal::NotLonger(ban, until) => match until {
            None => format!("Ban {ban} is permanent already."),
            Some(end) => format!(
                "That is no later than {end}, when ban {ban} ends now, and extend never shortens."
            ),
        },
        Refusal::FromTheFuture(subject, at) => format!(
            "What was decided about {subject} is dated {at}, which is later than now. The clock there or here is wrong."
        ),
        Refusal::NoSessions(subject) => format!(
            "{subject} has no sessions to end; name the account, the address or the network."
        ),
        Refusal::TooManyWatches(most) => format!(
            "{most} people and rooms have chosen what they hear, which is the most that are kept."
        ),
    }
}

/// The beginning of a sentence about something that needs a role.
fn permission(what: Permission) -> &'static str {
    match what {
        Permission::Ban => "Banning",
        Permission::BanNetwork => "Banning a network",
        Permission::BanExempt => "Banning the exempt",
        Permission::ChangeNetworkBan => "Ending or changing the ban of a network",
        Permission::ChangeAdminsBan => {
            "Ending or changing what an admin banned for longer than a moderator may"
        }
        Permission::Extend => "Extending a ban",
        Permission::Lift => "Un-banning",
        Permission::Annotate => "Writing notes",
        Permission::Kick => "Ending sessions",
        Permission::KickNetwork => "Ending the sessions of a network",
        Permission::Exempt => "Exempting somebody from bans",
        Permission::Unexempt => "Taking an exemption back",
        Permission::Forget => "Forgetting a history",
        Permission::Subscribe => "Choosing what to hear",
        Permission::SubscribeOthers => "Choosing what others hear",
        Permission::Undo => "Undoing",
        Permission::UndoThis => "Undoing this",
        Permission::Recall => "Importing a history",
        Permission::CountFailures => "Counting failures by hand",
    }
}

/// The answer about an account of another server: the virtual hosts of this one, the account that may have been meant,
/// and what to do instead.
fn not_here(subject: &Subject, hosts: &[String]) -> String {
    let domain = subject.whose().map_or("", Account::domain);
    let ours = hosts.join(", ");
    let near = |host: &&String| strsim::osa_distance(host, domain) <= 2;
    let meant = hosts.iter().find(near).zip(subject.whose());
    let meant =
        meant.map(|(host, account)| format!(" Did you mean {}@{host}?", account.localpart()));
    format!(
        "{domain} is not on this server; portcullis keeps accounts out of {ours} only.{} To keep somebody out of a room, ban them in that room; to block a whole server, use your server's s2s settings. If {domain} is a virtual host of this server, name it in hosts of [hook].",
        meant.unwrap_or_default()
    )
}
