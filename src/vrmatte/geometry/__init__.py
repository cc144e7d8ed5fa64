"""Where directions lie in pictures: projections and resampling. No video, no people."""
