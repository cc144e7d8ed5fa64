"""Which files a run makes, how they are encoded and what they are named."""
