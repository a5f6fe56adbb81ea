"""What goes wrong with a request."""


class ServingError(RuntimeError):
    """A server refused a request or could not be reached.

    Attributes:
        code: gRPC's status, e.g. `"INVALID_ARGUMENT"`.
    """

    def __init__(self, message: str, code: str):
        super().__init__(message)
        self.code = code
