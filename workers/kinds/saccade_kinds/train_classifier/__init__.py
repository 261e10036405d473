"""Kind ``train_classifier``: a network that tells classes of pictures apart, trained and registered."""
