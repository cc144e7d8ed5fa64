"""Projections between pixels and directions, and resampling. No video, no people."""
