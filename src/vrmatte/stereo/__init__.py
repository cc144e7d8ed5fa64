"""What one eye knows about the other: disparity of people, and mattes carried across by it."""
