"""Kind ``train_detector``: a YOLO detector learnt from labelled pictures."""
