"""The accounts every server of the lab has, and its secrets."""

USERS = ("alice", "bob", "carol", "dave", "mallory", "admin", "moderator")
SECRET = "a-secret-for-the-lab"  # of the component link


def password(user):
    return f"pw-{user}"
