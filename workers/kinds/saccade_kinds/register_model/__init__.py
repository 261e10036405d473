"""Kind ``register_model``: a network that was trained elsewhere becomes a version of a trained model."""
