"""Image sequences: folders of PNG or EXR files in the place of a video."""
