"""The accounts and secrets of every server in the lab."""

USERS = ("alice", "bob", "carol", "dave", "mallory", "admin", "moderator")
SECRET = "a-secret-for-the-lab"  # of the component link


def password(user):
    return f"pw-{user}"
