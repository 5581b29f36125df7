"""The control plane's own exceptions. Each message names the thing, and what to do about it."""


class ControlError(Exception):
    """Anything that the control plane knows how to say."""


class RedisAway(ControlError):
    """Redis did not answer; nothing was decided."""


class Unreadable(ControlError):
    """What is stored is not what this version understands; it is left as it is."""


class Outrun(ControlError):
    """Somebody else wrote first; what was decided rests on what is no longer so."""
