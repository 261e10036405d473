"""Training of networks: parameters, the loop, its checkpoints, what it learnt and how well."""
