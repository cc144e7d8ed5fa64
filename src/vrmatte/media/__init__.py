"""Reading, writing and joining video files exactly; FFmpeg through PyAV only."""
