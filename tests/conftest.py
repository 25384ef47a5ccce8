"""Fixtures shared by every test folder: PostgreSQL in `fixtures.py`, AWS in `aws.py`."""

pytest_plugins = ["tests.fixtures", "tests.aws"]
