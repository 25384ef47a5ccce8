"""Fixtures shared by every test folder: PostgreSQL in `fixtures.py`, AWS in `emulator.py`."""

pytest_plugins = ["tests.fixtures", "tests.emulator"]
