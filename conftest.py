"""Fixtures for every test of the workspace: real servers, records over them, the kind ``probe``.

Tests of what runs in the keras pool are in ``*_keras_test.py``: TensorFlow has an environment of its own, in which
they are run, alone, with ``SACCADE_TEST_POOL=keras``.
"""

import os
from pathlib import Path

pytest_plugins = ["servers.fixtures", "servers.records", "servers.probe", "servers.stack"]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the tests of the other environment."""
    if not collection_path.name.endswith("_test.py"):
        return None
    of_keras = collection_path.name.endswith("_keras_test.py")
    return True if of_keras != (os.environ.get("SACCADE_TEST_POOL") == "keras") else None
