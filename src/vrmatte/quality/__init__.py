"""Scores of mattes without ground truth; `truth` has the metrics against it."""
