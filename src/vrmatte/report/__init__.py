"""The report of a run: facts gathered from the job, frames to show, JSON and page."""
