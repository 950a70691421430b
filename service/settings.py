"""What the operator of a service decides: by `AUTOKD_…` variables and flags."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from autokd.errors import Mistake, SpecError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_LOOPBACK_FOR = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Settings(BaseSettings):
    """Where the service listens, what it stores, and what it lets requests do.

    Every field is an environment variable too: `storage` is `AUTOKD_STORAGE`.
    """

    model_config = SettingsConfigDict(
        env_prefix="AUTOKD_", extra="forbid", frozen=True, enable_decoding=False
    )

    storage: str = Field("autokd.db", description="Database: a path, or an SQLAlchemy URL.")
    files: Path | None = Field(
        None, description="Folder of logs, checkpoints and exports; by default beside SQLite."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0: any that is free.")
    authentication: bool = Field(
        True, description="Whether requests need a token. Only on loopback may this be false."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Host names that the service answers to, beside loopback and `host`."
    )
    tls: bool = Field(
        False, description="Whether people reach it by https, through a proxy; cookies then say so."
    )
    data_root: Path = Field(Path("data"), description="Folder of torchvision's data sets.")
    downloads: bool = Field(False, description="Whether torchvision may download what is missing.")
    image_folders: dict[str, Path] = Field(
        {}, description="Image folders that requests may name, as JSON: name → folder."
    )
    body_bytes: int = Field(2**20, gt=0, description="Largest body of a request, uploads aside.")
    upload_bytes: int = Field(2**31, gt=0, description="Largest upload.")
    event_readers: int = Field(500, gt=0, description="Most event streams at a time.")
    webhook_hosts: tuple[str, ...] = Field(
        (), description="Hosts that webhooks may reach by http and at private addresses."
    )
    kept_days: float = Field(
        90.0,
        ge=1,
        le=36_500,
        description="How long the audit log, operations and webhook messages that ended are kept.",
    )
    check_seconds: float = Field(120.0, gt=0, description="How long a check of a study may take.")

    @field_validator("allowed_hosts", "image_folders", "webhook_hosts", mode="before")
    @classmethod
    def _from_json(cls, given: Any) -> Any:
        """Read here, since pydantic's own error for it would be none of validation."""
        if not isinstance(given, str):
            return given
        try:
            return json.loads(given)
        except ValueError as error:
            raise ValueError(
                f'expected JSON, like ["hooks.lan"] or {{"name": "folder"}}; got {given!r}'
            ) from error

    @field_validator("host")
    @classmethod
    def _is_an_address(cls, host: str) -> str:
        if host != "localhost":
            try:
                ipaddress.ip_address(host)
            except ValueError as error:
                raise ValueError(f"expected an IP address or localhost; got {host!r}") from error
        return host

    @model_validator(mode="after")
    def _guards_a_network(self) -> Settings:
        if not self.authentication and not self.on_loopback:
            raise ValueError(
                f"expected authentication on {self.host}, which others can reach; got none. "
                "Listen on 127.0.0.1, or leave authentication on"
            )
        return self

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    @property
    def hosts(self) -> frozenset[str]:
        """Host names, without ports, that it answers to: others may be rebound names."""
        names = (*LOOPBACK_NAMES, self.host_in_urls, *self.allowed_hosts)
        return frozenset(name.lower() for name in names)

    @property
    def host_in_urls(self) -> str:
        """The address as URLs and the `Host` header have it.

        What means all addresses of a machine is none of them: browsers take it for loopback, so
        that pages from elsewhere could reach the service by it.
        """
        host = _LOOPBACK_FOR.get(self.host, self.host)
        return f"[{host}]" if ":" in host else host


def settings_from(given: dict[str, Any]) -> Settings:
    """The settings of the environment, with those that are given in their place.

    Raises:
        SpecError: some are wrong; says all of them.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SpecError(
            "the service's configuration",
            [
                Mistake(".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, "))
                for one in error.errors()
            ],
        ) from error
