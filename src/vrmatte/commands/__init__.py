"""One file per command: what the command line and Python callers run."""
