"""Networks: registered weights, downloads, graph surgery, and the sessions that run them."""
