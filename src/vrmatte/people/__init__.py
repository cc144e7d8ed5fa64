"""Where people are: looked for in viewports of each eye, told as angles on the sphere."""
