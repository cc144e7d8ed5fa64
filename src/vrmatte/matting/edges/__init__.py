"""Refinement of mask edges into soft alpha."""
