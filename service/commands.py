"""The commands of the service: `up`, `serve`, `token`. They join `autokd` by its entry point."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from autokd.store import Store
    from service.settings import Settings

Storage = Annotated[
    str | None, typer.Option(help="Database: a path, or an SQLAlchemy URL; AUTOKD_STORAGE.")
]
Files = Annotated[Path | None, typer.Option(help="Folder of logs and checkpoints; AUTOKD_FILES.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on; AUTOKD_HOST.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port; 0: any that is free; AUTOKD_PORT.")
]
NoAuthentication = Annotated[
    bool, typer.Option("--no-authentication", help="No tokens; on loopback only.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the commands to autokd's."""
    app.command()(up)
    app.command()(serve)
    tokens = typer.Typer(no_args_is_help=True, help="Tokens for the service.")
    tokens.command("create")(create_token)
    tokens.command("list")(list_tokens)
    tokens.command("revoke")(revoke_token)
    app.add_typer(tokens, name="token")


def up(
    storage: Storage = None,
    files: Files = None,
    host: Host = None,
    port: Port = None,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time; left out: one per core.")
    ] = None,
    no_authentication: NoAuthentication = False,
) -> None:
    """Start the service, its dashboard and a coordinator on this machine.

    Prints the address. Ctrl-C stops both; running studies go on with
    the next start.
    """
    from service.serving import serve_with_coordinator

    serve_with_coordinator(_settings(storage, files, host, port, no_authentication), slots)


def serve(
    storage: Storage = None,
    files: Files = None,
    host: Host = None,
    port: Port = None,
    no_authentication: NoAuthentication = False,
) -> None:
    """Start the service and its dashboard, without a coordinator.

    `autokd coordinator` runs the studies, here or on another machine
    that shares database and files.
    """
    from service.serving import serve as run

    run(_settings(storage, files, host, port, no_authentication))


def create_token(
    name: Annotated[str, typer.Option(help="What you call it.")] = "token",
    scope: Annotated[str, typer.Option(help="read, launch or admin.")] = "launch",
    days: Annotated[float | None, typer.Option(min=0.001, help="Left out: no end.")] = None,
    storage: Storage = None,
    files: Files = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Make a token and print it; it is not kept, so this is the only time."""
    import json
    from datetime import timedelta

    from service.access import Scope, make_token, token_json
    from service.schemas import moment_text

    if scope.upper() not in Scope.__members__:
        raise typer.BadParameter(f"expected read, launch or admin, got {scope!r}")
    with _store(storage, files, create=True) as store:
        lives = None if days is None else timedelta(days=days)
        record, secret = make_token(store, name, Scope[scope.upper()], lives=lives)
    if as_json:
        typer.echo(json.dumps({**token_json(record), "token": secret}, default=moment_text))
    else:
        typer.echo(secret)


def list_tokens(
    storage: Storage = None,
    files: Files = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """List tokens; their secrets are not kept."""
    import json

    from service.access import token_json
    from service.schemas import moment_text

    with _store(storage, files) as store:
        rows = [token_json(token) for token in store.tokens()]
    if as_json:
        typer.echo(json.dumps(rows, default=moment_text))
        return
    for row in rows:
        ends = moment_text(row["expires"]) if row["expires"] else "never ends"
        typer.echo(f"{row['id']:<8} {row['scope']:<7} {ends:<25} {row['name']}")


def revoke_token(
    token: Annotated[str, typer.Argument(metavar="ID", help="Like tok_1.")],
    storage: Storage = None,
    files: Files = None,
) -> None:
    """End a token, and the sessions that were opened with it."""
    from service.names import Kind, number_of

    with _store(storage, files) as store:
        store.remove_token(number_of(Kind.TOKEN, token))
    typer.echo(f"revoked {token}", err=True)


def _settings(
    storage: str | None,
    files: Path | None,
    host: str | None = None,
    port: int | None = None,
    no_authentication: bool = False,
) -> Settings:
    from service.settings import settings_from

    given = {
        "storage": storage,
        "files": files,
        "host": host,
        "port": port,
        "authentication": False if no_authentication else None,
    }
    return settings_from({name: value for name, value in given.items() if value is not None})


def _store(storage: str | None, files: Path | None, *, create: bool = False) -> Store:
    from autokd.store import Store

    settings = _settings(storage, files)
    return Store.open(settings.storage, create=create, files=settings.files)
