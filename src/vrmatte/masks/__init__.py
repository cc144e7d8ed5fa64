"""Masks of prompted people, followed through a view's images by networks of the SAM 2 family."""
