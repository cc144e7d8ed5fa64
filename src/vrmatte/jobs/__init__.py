"""Runs plans: what is already made is remembered on disk, what is missing is made."""
