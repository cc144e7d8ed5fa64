"""Where directions lie in pictures: projections and resampling. Knows nothing of video or people."""
