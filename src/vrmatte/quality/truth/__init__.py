"""Metrics of a matte against ground truth."""
