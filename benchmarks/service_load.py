"""Clients of the service that cost little themselves: one of requests, one of event streams."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence

import numpy as np


class Client:
    """One connection that is kept; a request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> Client:
        """To the service at a port of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**26))

    @property
    def closed(self) -> bool:
        """Whether the service has ended the connection, as it does with one that is idle."""
        return self._reader.at_eof()

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        return status, await self._reader.readexactly(length)

    def close(self) -> None:
        """Ends the connection."""
        self._writer.close()


class Reader:
    """One reader of the event stream.

    Attributes:
        arrived: when each event came, in seconds since 1970, by its number.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.arrived: dict[int, float] = {}

    @classmethod
    async def connect(cls, port: int) -> Reader:
        """To the service at a port of this machine; the stream has begun when this returns."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head:
            raise RuntimeError(f"no event stream: {head!r}")
        return cls(reader, writer)

    async def read(self) -> None:
        """Notes when events come, until it is cancelled."""
        while line := await self._reader.readline():
            if line.startswith(b"id: "):
                self.arrived[int(line[4:])] = time.time()


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` percent of all do not exceed."""
    return float(np.percentile(values, share, method="inverted_cdf"))
