"""Measures what was made: time per stage, distance to a truth."""
