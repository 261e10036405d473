"""Makes a video of pictures."""
