"""From pictures of people to soft mattes: engines, their choice, guided upsampling.

Engines get YUV pictures (whole eyes or viewports) and know nothing of video files or projections.
"""
