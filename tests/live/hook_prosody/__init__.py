"""Tests of server/prosody/mod_portcullis on a real Prosody 13 (Debian packages prosody, prosody-modules; needs root to start it as
its own user): `/usr/bin/python3 -m pytest tests/live/hook_prosody`. Without Prosody nothing is collected."""
