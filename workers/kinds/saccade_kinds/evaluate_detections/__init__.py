"""Kind ``evaluate_detections``: how good predicted boxes are, against the true ones."""
