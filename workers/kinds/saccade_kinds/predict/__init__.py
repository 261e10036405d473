"""Kind ``predict``: what a trained model says of rows of a table, or of pictures."""
