"""Kind ``detect_objects``: things of known classes in a picture or a video, followed and counted where asked."""
