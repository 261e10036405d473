"""Kill tests: everything is killed at random while jobs run, and none may be lost or take effect twice."""
