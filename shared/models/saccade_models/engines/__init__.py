"""Outside engines behind small typed functions."""
