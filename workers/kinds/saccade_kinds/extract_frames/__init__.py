"""Takes pictures out of a video."""
