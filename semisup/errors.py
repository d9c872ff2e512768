"""The one exception for bad input."""


class InputError(ValueError):
    """Something a person gave is wrong: a file, a flag, a shape, a name.

    The message is one line that says what is wrong, where, and how to mend it.
    The binaries print it and exit with status 1, without a traceback.

    Example:
        >>> try:
        ...     semisup.load_dataset("imagenet")
        ... except semisup.InputError as error:
        ...     print(str(error)[:32])
        unknown data set 'imagenet'; kno
    """
