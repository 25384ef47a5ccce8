"""Fixtures shared by every test folder live in `tests/fixtures.py`."""

pytest_plugins = ["tests.fixtures"]
