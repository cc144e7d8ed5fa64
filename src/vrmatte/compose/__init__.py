"""The images of each deliverable, composed from frames and mattes."""
