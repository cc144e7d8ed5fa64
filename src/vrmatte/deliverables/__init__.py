"""The files of a run: their names, views, sizes and encoders."""
