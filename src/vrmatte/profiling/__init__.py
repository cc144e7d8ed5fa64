"""Time, memory and utilisation of a run, stage by stage."""
