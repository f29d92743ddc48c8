"""Errors named for what the caller should do about them."""


class TrackerError(Exception):
    """Base of every error this project raises itself."""


class InvalidSettings(TrackerError):
    """A setting is missing or wrong; the process must not start."""


class MalformedEntry(TrackerError):
    """A stream entry or archived channel can never be decoded; retrying is useless."""


class ServiceUnavailable(TrackerError):
    """The service cannot answer now; the same call may work later."""

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class LeaveToNewer(ServiceUnavailable):
    """A newer version of this program wrote this; leave it as it is, to a process of that version.

    That is no fault of the data: nothing may be given up, overwritten or acknowledged over it.
    """
