"""Fixtures shared by every test folder: PostgreSQL in `fixtures.py`, AWS in `aws.py`,
the whole stack in `stack_fixture.py`."""

pytest_plugins = ["tests.fixtures", "tests.aws", "tests.stack_fixture"]
