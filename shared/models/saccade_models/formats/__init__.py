"""Detections in the files that other tools read: COCO JSON, YOLO text files, CSV. What reads COCO and YOLO files from
outside is ``saccade_models.evaluation``."""
