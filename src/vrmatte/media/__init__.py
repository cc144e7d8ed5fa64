"""Exact reading, writing and joining of video files, with FFmpeg through PyAV."""
