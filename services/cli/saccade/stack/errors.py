"""Why a stack cannot start."""


class StackError(Exception):
    """The stack cannot start; the message says what to do."""
