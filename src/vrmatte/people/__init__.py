"""Detection and tracking of people, in viewports of each eye, as angles on the sphere."""
