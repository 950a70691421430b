"""Tokens of a server; for those who may give them, whose own has the scope `admin`."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from autokd.client.connection import Connection
from autokd.client.models import Token


class Tokens:
    """Who may ask for what. All methods raise AccessError to those who are no admins."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Iterator[Token]:
        """All tokens, oldest first, without their secrets."""
        return self._connection.items(Token, "tokens")

    def create(
        self,
        name: str,
        scope: str = "launch",
        *,
        expires_in_days: float | None = None,
        **limits: int,
    ) -> Token:
        """Makes a token, whose secret is in `token`, this once.

        Args:
            name: what you call it.
            scope: `read`, `launch` or `admin`; each includes those before it.
            expires_in_days: None: never.
            limits: largest numbers of its holder's `studies` under way, `slots` and `disk_bytes`.
        """
        body = {
            "name": name,
            "scope": scope,
            "expires_in_days": expires_in_days,
            "limits": limits,
        }
        return self._connection.ask(Token, "POST", "tokens", body=body)

    def revoke(self, token: str) -> None:
        """Ends a token by its id, and the sessions opened with it. Raises NotFoundError."""
        self._connection.ask(type(None), "DELETE", f"tokens/{quote(token, safe='')}")
