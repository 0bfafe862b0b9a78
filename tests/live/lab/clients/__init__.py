"""What connects to a server as a client does."""
