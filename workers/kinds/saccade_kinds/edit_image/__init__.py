"""Kind ``edit_image``: operations on a picture, one after the other."""
