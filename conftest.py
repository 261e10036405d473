"""Fixtures for every test of the workspace: real servers, records over them, the kind ``probe``."""

pytest_plugins = ["servers.fixtures", "servers.records", "servers.probe", "servers.stack"]
