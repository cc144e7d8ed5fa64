"""Matting engines: the networks behind `matting.base.Engine`, and how one is chosen."""
