"""What portcullis says, in one place: patterns for the parts of its answers that the tests rely on (case does not matter)."""
import re


def said(pattern, text, **parts):
    """The match of `pattern` in `text`, or an AssertionError that shows both. `{who}` and friends are filled in literally."""
    full = pattern.format(**{k: re.escape(v) for k, v in parts.items()}) if parts else pattern
    found = re.search(full, text or "", re.I | re.S)
    assert found, f"expected /{full}/ in:\n{text}"
    return found


def did_not_say(pattern, text, **parts):
    full = pattern.format(**{k: re.escape(v) for k, v in parts.items()}) if parts else pattern
    assert not re.search(full, text or "", re.I | re.S), f"did not expect /{full}/ in:\n{text}"


# results
BANNED = r"Banned #(\d+) {who}"
BANNED_UNTIL = r"Banned #(\d+) {who} until \d{{4}}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC"
UNBANNED = r"Un-banned #\d+ {who}"
NOT_BANNED = r"{who} is not banned"
ROW = r"#?{number}\b.*{who}|{who}.*#?{number}\b"
ALREADY = r"already banned|chang|was banned|instead of|replac"

# refusals
BAD_SUBJECT = r"not (a |an )?(valid|account|address|network|understood|know)|invalid|cannot be|neither"
NO_UNIT = r"unit|\b5[mhd]\b|for example|e\.g\."
NO_ACCOUNT = r"no (such )?account|does not exist|unknown account|not exist|no account"
OWN_ACCOUNT = r"your(self| own)|yourself"
EXEMPT = r"exempt|never banned|loopback"
TOO_LONG = r"longest|at most|longer than|moderator"
NEEDS_ADMIN = r"admin"
MAY_NOT = r"may not|not allowed|only|admin|not authori[sz]ed|permission"

# what is not (yet) in force
ONLY_HOOK = r"hook|module"
WAITING = r"waiting|outbox|pending|not yet|retr|not (been )?(carried out|in force|enforced)|cannot"
CANNOT_DISABLE = r"disable|internal_plain|provider"

# help
NEAREST_BAN = r"did you mean.*\bban\b|\bban\b"

# the program
WRONG_SECRET = r"secret"
EJABBERD_LINES = (r"mod_privilege", r"jabber:iq:private", r"both:", r"configure")
PROSODY_LINES = (r"privileged_entities", r"jabber:iq:private", r"admins")
