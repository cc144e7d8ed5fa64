"""Execution of plans: finished pieces are recorded on disk, missing ones are made."""
