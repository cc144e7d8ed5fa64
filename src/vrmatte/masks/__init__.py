"""Who is who: masks of people that were pointed at, followed through a view's pictures."""
