"""Networks: which weights exist, how they come to this machine, and how they run."""
