"""Removal of people and regions from a matte."""
