"""Real servers for tests, each in a temporary folder on a free port, gone when the test session ends."""
