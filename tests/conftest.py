"""Fixtures shared by every test folder: PostgreSQL in `fixtures.py`, AWS in `aws.py`,
the whole stack in `stack_fixture.py`."""

from hypothesis import settings

pytest_plugins = ["tests.fixtures", "tests.aws", "tests.stack_fixture"]

# A busy machine is slow, which is no property of the code.
settings.register_profile("quarry", deadline=None)
settings.load_profile("quarry")
