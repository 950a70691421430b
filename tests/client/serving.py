"""The service on a free port of this machine, in a thread of this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from autokd.store import Store
from service.access import Scope, make_token
from service.app import create_app
from service.settings import Settings


@dataclass(frozen=True)
class Served:
    """A service that answers.

    Attributes:
        url: its address.
        token: of scope admin.
        store: its record, as another process would have it.
    """

    url: str
    token: str
    store: Store


@contextmanager
def serving(storage: str) -> Iterator[Served]:
    """Serves a record as `autokd serve` does, while the block lasts."""
    app = create_app(Settings(storage=storage))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    with Store.open(storage) as store:
        token = make_token(store, "tests", Scope.ADMIN)[1]
        thread.start()
        try:
            # Who connects before it accepts waits in the socket's queue.
            yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", token, store)
        finally:
            server.should_exit = True
            thread.join(30)
            listening.close()
