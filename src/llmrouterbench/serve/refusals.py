"""What the server itself answers with when it does not serve: one sentence in OpenAI's error form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

_SHOWN = 60
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


_KEY = re.compile(r"lrb-[\w-]{8,}")


def masked(text: str) -> str:
    """A text of a client without client keys that it may hold in the wrong place.

    >>> masked("no model named 'lrb-0123456789'")
    "no model named 'lrb-***'"
    """
    return _KEY.sub("lrb-***", text)


class RefusedError(Exception):
    """A request that is not served, as its client is told.

    status, code  of HTTP, and OpenAI's short name of the reason
    retry_after   seconds after which another try can succeed, None: a try of the same again cannot
    """

    def __init__(self, status: int, message: str, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(masked(message))
        self.status = status
        self.message = masked(message)
        self.code = code
        self.retry_after = retry_after

    @property
    def body(self) -> bytes:
        """The JSON body."""
        return error_body(self.message, _TYPES.get(self.status, "server_error"), self.code)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that official clients obey: when to try again, or not to."""
        if self.retry_after is not None:
            return {"retry-after": f"{max(1, round(self.retry_after))}"}
        return {"x-should-retry": "false"} if self.status == 429 else {}


def error_body(message: str, kind: str, code: str | None) -> bytes:
    r"""An error in OpenAI's form.

    >>> error_body("no model named 'x'", "not_found_error", None)
    b'{"error":{"message":"no model named \'x\'","type":"not_found_error","param":null,"code":null}}'
    """
    whole = message.encode("utf-8", "backslashreplace").decode()
    return orjson.dumps({"error": {"message": whole, "type": kind, "param": None, "code": code}})


def short(value: Any) -> str:
    """A value for an error sentence: no longer than a line, and never a message's text."""
    if value is None or isinstance(value, bool | int | float):
        return str(value)[:_SHOWN] if value is not None else "none"
    if isinstance(value, str):
        return repr(value[:_SHOWN])
    return f"{type(value).__name__} with {len(value)} entries" if hasattr(value, "__len__") else type(value).__name__
