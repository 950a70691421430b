"""The processes of the service: the web server, and a coordinator beside it."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from types import FrameType

import uvicorn

from autokd.errors import ConflictError
from autokd.store import Store
from service import logs
from service.access import Scope, make_token
from service.app import create_app
from service.events import EventFeed
from service.settings import Settings

_LOG = logging.getLogger(__name__)

_DRAIN_SECONDS = 3
"""How long open requests may take when the server stops; event streams would take for ever."""


def serve(settings: Settings, *, ready: str = "") -> None:
    """Serves until it is stopped by SIGINT or SIGTERM.

    Args:
        settings: where and what.
        ready: what is said beside the address.

    Raises:
        ConflictError: the address is taken.
    """
    app = create_app(settings)
    token = _first_token(app.state.store) if settings.authentication else None
    listening = _listen(settings)
    address = f"http://{settings.host_in_urls}:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        app,
        log_config=logs.configuration(),
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    _say(f"autokd is at {address}{ready}")
    if token is not None:
        _say(f"log in once with {address}/login#token={token}")
        _say("keep that token, it is not shown again; `autokd token create` makes others")
    # Thousands of trials are read at once, and all of them stay: looking for garbage among what was
    # loaded to start, at every few hundred of them, takes as long as reading them.
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    _Server(config, app.state.feed).run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that is asked to stop by a signal, and then stops: that is no interruption.

    Its event streams end when it is asked, not when they are cut off.
    """

    def __init__(self, config: uvicorn.Config, feed: EventFeed) -> None:
        super().__init__(config)
        self._feed = feed

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stops soon; the second time, at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops it."""
        await self._feed.close()
        await super().shutdown(sockets)


def serve_with_coordinator(settings: Settings, slots: int | None) -> None:
    """Serves, and keeps a coordinator running beside it."""
    # The server raises its signal again when it has stopped, and the coordinator is still to end.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    coordinator = _Coordinator(settings, slots)
    coordinator.start()
    try:
        serve(settings)
    finally:
        coordinator.stop()


class _Coordinator:
    """A coordinator's process, started again when it dies."""

    def __init__(self, settings: Settings, slots: int | None) -> None:
        self._command = [sys.executable, "-m", "autokd", "coordinator", "--while-stdin-is-open"]
        if slots is not None:
            self._command += ["--slots", str(slots)]
        # By the environment: a URL may hold a password, and command lines can be read by all.
        self._environment = {**os.environ, "AUTOKD_STORAGE": settings.storage}
        if settings.files is not None:
            self._environment["AUTOKD_FILES"] = str(settings.files)
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Starts it."""
        self._thread.start()

    def stop(self) -> None:
        """Asks it to end, and waits."""
        self._stopping.set()
        while self._thread.is_alive():
            process = self._process  # which may just have been started again
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
            self._thread.join(1.0)

    def _keep(self) -> None:
        while not self._stopping.is_set():
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            code = self._process.wait()
            with suppress(BrokenPipeError):
                if self._process.stdin is not None:
                    self._process.stdin.close()
            if not self._stopping.is_set():
                _LOG.warning("the coordinator ended with %d and is started again", code)
                self._stopping.wait(2.0)


def _first_token(store: Store) -> str | None:
    """A token for whoever starts the service first; None if there are tokens."""
    if store.tokens():
        return None
    return make_token(store, "first", Scope.ADMIN)[1]


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen()  # whoever reads the address may come at once, and waits here
    except OSError as error:
        listening.close()
        raise ConflictError(
            f"port {settings.port} of {settings.host} can not be used: {error.strerror}",
            hint="name another: --port 0 takes any that is free",
        ) from error
    return listening


def _say(line: str) -> None:
    # For whoever started it, who may read it through a pipe.
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
