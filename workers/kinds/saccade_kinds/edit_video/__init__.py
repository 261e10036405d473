"""Edits a video: in time, in size, and picture by picture."""
