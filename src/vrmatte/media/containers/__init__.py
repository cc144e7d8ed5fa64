"""Boxes, indexes and time stamps inside container files, and streams copied between them."""
