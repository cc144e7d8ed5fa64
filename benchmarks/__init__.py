"""Benchmarks that anybody can repeat: clips made on the spot, ratios measured side by side."""
