"""Patterns for portcullis' answers to people; case does not matter.

Where the program gives a fact (`Portcullis.facts`), tests ask for that instead.
"""

import re


def must_say(pattern, text, **parts):
    """The match of `pattern` in `text`, or an AssertionError that shows both. Fields such as `{who}` are filled in
    literally.
    """
    full = pattern.format(**{k: re.escape(v) for k, v in parts.items()}) if parts else pattern
    found = re.search(full, text or "", re.I | re.S)
    assert found, f"expected /{full}/ in:\n{text}"
    return found


def must_not_say(pattern, text, **parts):
    full = pattern.format(**{k: re.escape(v) for k, v in parts.items()}) if parts else pattern
    assert not re.search(full, text or "", re.I | re.S), f"did not expect /{full}/ in:\n{text}"


# results
BANNED = r"Banned #(\d+) {who}"
BANNED_UNTIL = r"Banned #(\d+) {who} until \d{{4}}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC"
CHANGED = r"Changed #\d+ {who}"
ALREADY = r"{who} is already banned"
UNBANNED = r"Un-banned #\d+ {who}"
NOT_BANNED = r"{who} is not banned"
ROW = r"#{number} {who}"

# refusals
OWN_ACCOUNT = r"your own account"
TOO_LONG = r"too long|longest"
NEEDS_ADMIN = r"needs the role admin"

# what is not in force
ONLY_HOOK = r"hook module"

# help
NEAREST_BAN = r"did you mean ban"

# the program
WRONG_SECRET = r"component\.secret"
EJABBERD_LINES = (r"mod_privilege", r"jabber:iq:private", r"both:", r"configure")
PROSODY_LINES = (r"privileged_entities", r"jabber:iq:private", r"admins")
