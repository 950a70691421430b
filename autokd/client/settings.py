"""Where the server is and who asks: from arguments, the environment, or a file of one's own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import httpx

from autokd.errors import AccessError, Mistake, SpecError

SERVER = "AUTOKD_SERVER"
TOKEN = "AUTOKD_TOKEN"


def server_address(url: str | None) -> str:
    """The address of a server without a path, as given or as `AUTOKD_SERVER` has it.

    Raises:
        SpecError: there is none, or it is no address.
    """
    given = url or os.environ.get(SERVER)
    if not given:
        raise _wrong("expected the address of a server, got none", f"pass it, or set {SERVER}")
    try:
        parts = httpx.URL(given.strip())
    except httpx.InvalidURL as error:
        raise _wrong(f"expected an address, got {given!r}: {error}", _EXAMPLE) from error
    if parts.userinfo:
        raise _wrong("expected an address without a user in it", f"set {TOKEN} to a token instead")
    path = parts.path.rstrip("/").removesuffix("/api/v1")
    if parts.scheme not in ("http", "https") or not parts.host or path or parts.query:
        raise _wrong(f"expected http://HOST:PORT or https://HOST, got {given!r}", _EXAMPLE)
    return f"{parts.scheme}://{parts.netloc.decode()}"


def token_file() -> Path:
    """Where a token is looked for that is neither passed nor in the environment."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "autokd" / "token"


def token_of(given: str | None) -> str | None:
    """The token as given, as `AUTOKD_TOKEN` has it, or from the file; None if there is none.

    Raises:
        AccessError: the file can be read by others, or what was found is no token.
    """
    token = given or os.environ.get(TOKEN) or _from_file(token_file())
    if token is None:
        return None
    token = token.strip()
    if not token.isascii() or not token.isprintable() or " " in token or not token:
        # What it holds instead is nobody's business.
        raise AccessError(
            "expected a token in one line, got something else", hint=f"tokens begin with {_PREFIX}"
        )
    return token


_EXAMPLE = "for example http://127.0.0.1:8000, as `autokd up` prints it"
_PREFIX = "akd_"


def _from_file(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                raise AccessError(
                    f"expected {path} to be its owner's alone (0600), got {mode:04o}",
                    hint=f"chmod 600 {path}",
                )
            return file.read(10_000)
    except FileNotFoundError:
        return None


def _wrong(message: str, hint: str) -> SpecError:
    return SpecError("the server's address", [Mistake("", message, hint)])
