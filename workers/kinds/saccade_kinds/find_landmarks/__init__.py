"""Kind ``find_landmarks``: points of faces, hands and bodies."""
