"""The foreground's own colours in pixels that mix foreground and background."""
