"""Kind ``describe_network``: what the layers of a neural network give and how many parameters they have."""
