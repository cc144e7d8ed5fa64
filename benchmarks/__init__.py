"""Reproducible benchmarks: generated clips, and ratios of cases measured in turns."""
