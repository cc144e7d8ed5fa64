"""Boxes, indexes and timestamps in container files, and streams copied between them."""
