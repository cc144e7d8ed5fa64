"""Helpers shared by the tests: fixtures, drawn scenes, stand-in networks."""
