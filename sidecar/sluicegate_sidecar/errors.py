"""The data plane's own exceptions. Each message names the thing, and what to do about it."""


class SluicegateError(Exception):
    """Anything that the data plane knows how to say."""


class ConfigError(SluicegateError):
    """A setting that cannot be used; raised before any port is bound."""


class InvalidRequest(SluicegateError):
    """A request that can never be taken. `field` names the part that is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class TooLarge(InvalidRequest):
    """A request over one of the limits."""


class UnknownAgent(InvalidRequest):
    """A request for an agent that this sidecar does not serve."""


class NoReport(SluicegateError):
    """The controller has published no report of this experiment."""


class OutOfOrder(InvalidRequest):
    """An event of a session before those that must come first."""


class SpoolFull(SluicegateError):
    """Redis is away, and the spool on disk has no room for more."""


class RedisAway(SluicegateError):
    """Redis did not answer; nothing was acknowledged."""


class QueueFull(SluicegateError):
    """Redis has no room for another session."""


class ScoreRefused(SluicegateError):
    """The score script found the score invalid; trying again will not mend it."""


class JudgementFailed(SluicegateError):
    """The judge answered, and the answer is not a verdict; it cost tokens all the same, where they are told."""

    def __init__(self, message: str, prompt_tokens: int = 0, completion_tokens: int = 0) -> None:
        super().__init__(message)
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens


class JudgeTimeout(JudgementFailed):
    """The judge did not answer in time: this session's fault, or the endpoint's."""


class RequestRefused(JudgementFailed):
    """The judge endpoint takes no such request: this session's fault, or that of the settings, which hits them all."""


class JudgeUnavailable(SluicegateError):
    """The judge endpoint did not answer, or refused to. `retry_after`: seconds that it asked for, or 0."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
