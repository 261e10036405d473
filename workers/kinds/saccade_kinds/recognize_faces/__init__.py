"""Kind ``recognize_faces``: who of a gallery's people is in a picture or a video."""
