"""A FastAPI application on loopback, in a thread of this process, for tests."""

from __future__ import annotations

import socket
import threading
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

import uvicorn
from fastapi import FastAPI


class Loopback(ABC):
    """A server with a base address `url` while it is used as a context manager."""

    url: str

    @abstractmethod
    def application(self) -> FastAPI:
        """What is served."""

    def uvicorn_options(self) -> dict[str, Any]:
        """Options beside those that every server here has."""
        return {}

    def __enter__(self) -> Self:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        config = uvicorn.Config(
            self.application(), ws="none", lifespan="off", log_config=None, log_level="critical", access_log=False,
            backlog=2048, timeout_graceful_shutdown=1, **self.uvicorn_options(),
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()
