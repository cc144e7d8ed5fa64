"""Metrics of a matte against a known truth."""
