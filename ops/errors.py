"""What the operator is told when a command cannot do its work."""


class CommandFailed(Exception):
    """The message says what is wrong and what to do; it is shown without a traceback."""
