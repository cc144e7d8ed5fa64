"""Stereo: disparity of people, and mattes compared and carried between both eyes."""
