"""The command line: reads options, listens to events, prints tables, sets the exit code."""
