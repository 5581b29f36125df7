"""The control plane's own exceptions. Each message names the thing, and what to do about it."""


class ControlError(Exception):
    """Anything that the control plane knows how to say."""


class RedisAway(ControlError):
    """Redis did not answer; nothing was decided."""


class Unreadable(ControlError):
    """What is stored is not what this version understands; it is left as it is."""


class Outrun(ControlError):
    """Somebody else wrote first; what was decided rests on what is no longer so."""


class ConfigError(ControlError):
    """A setting is bad or unknown; its name comes first."""


class ApiAway(ControlError):
    """The API server did not answer; it may have done what it was asked for."""


class ApiRefused(ControlError):
    """The API server refused, and will refuse the same again."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NotThere(ApiRefused):
    """There is no such object."""


class Stale(ApiRefused):
    """The object is there already, or has changed since it was read."""
