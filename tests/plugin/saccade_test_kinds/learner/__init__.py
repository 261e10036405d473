"""A training without a network, for tests of what is done with trainings."""
