"""One self-contained page about a run: what was done, how good it is, what to look at."""
