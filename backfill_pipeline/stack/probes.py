"""How it is known that a process is ready; each probe is data and answers at once, the deadline is its caller's."""

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from backfill_pipeline.clients.loopback import LOOPBACK

ANSWER_SECONDS = 1.0
HTTP_OK = 200


class Subject(Protocol):
    """What a probe may ask of a process that was started."""

    def seconds_alive(self) -> float: ...

    def log_since_start(self) -> str: ...


class Probe(Protocol):
    def passed(self, subject: Subject) -> bool: ...


@dataclass(frozen=True)
class StaysAlive:
    seconds: float = 1.0

    def passed(self, subject: Subject) -> bool:
        return subject.seconds_alive() >= self.seconds

    def __str__(self) -> str:
        return f"it stays alive for {self.seconds:g} s"


@dataclass(frozen=True)
class Says:
    """A text in what it wrote to its log since it was started."""

    text: str

    def passed(self, subject: Subject) -> bool:
        return self.text in subject.log_since_start()

    def __str__(self) -> str:
        return f"its log says {self.text!r}"


@dataclass(frozen=True)
class Listens:
    port: int

    def passed(self, subject: Subject) -> bool:
        try:
            socket.create_connection((LOOPBACK, self.port), ANSWER_SECONDS).close()
        except OSError:
            return False
        return True

    def __str__(self) -> str:
        return f"{LOOPBACK}:{self.port} takes connections"


@dataclass(frozen=True)
class Answers:
    """HTTP 200; never through a proxy, as it is this machine's own address.

    authority: certificate that an https server must show; a file that the server itself may make at its start.
    """

    url: str
    authority: Path | None = None

    def passed(self, subject: Subject) -> bool:
        try:
            with self._opener().open(self.url, timeout=ANSWER_SECONDS) as answer:
                return bool(answer.status == HTTP_OK)
        except (OSError, urllib.error.URLError, http.client.HTTPException):
            return False

    def _opener(self) -> urllib.request.OpenerDirector:
        context = ssl.create_default_context(cafile=self.authority) if self.authority else None
        https = [urllib.request.HTTPSHandler(context=context)] if context else []  # given later, the usual one answers
        return urllib.request.build_opener(urllib.request.ProxyHandler({}), *https)

    def __str__(self) -> str:
        return f"{self.url} answers {HTTP_OK}"


@dataclass(frozen=True)
class Finishes:
    """For a step that runs once: ready means that it ended with exit code 0."""

    def passed(self, subject: Subject) -> bool:
        return False  # its exit code decides, not a probe

    def __str__(self) -> str:
        return "it ends with exit code 0"
