"""The one kind of error that a user's mistake raises."""


class MsCoresetError(ValueError):
    """Something given by the user can't be used: an argument, a name, a file.

    The message is one line: what was wrong, with the value, and what to do next. The command line prints it
    without a stack trace and exits with code 2.
    """
