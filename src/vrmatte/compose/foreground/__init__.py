"""Foreground colours at soft edges, estimated on image pyramids."""
