"""Measurements beside the plain and the best bare loop, side by side in one run: ``make bench``."""
