"""Soft mattes from images of people: engines, viewports, guided upsampling, stereo, exclusion."""
