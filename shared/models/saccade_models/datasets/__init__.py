"""Labelled data sets that users bring: pictures by class, and detection data in YOLO's layout."""
