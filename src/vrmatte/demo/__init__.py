"""Rendered VR180 clips with exact mattes, for `vrmatte demo`, benchmarks and tests."""
