"""A kind of job from another installed package, for tests: put this folder on PYTHONPATH."""
