"""Who may ask: tokens, and the sessions that browsers open with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import ConfigDict, Field

from service.access import (
    COOKIE,
    Admin,
    Caller,
    Reader,
    Scope,
    make_token,
    refuse_foreign_origin,
    token_json,
)
from service.context import SettingsOf, StoreOf
from service.names import Kind, number_of
from service.once import OnceRoute
from service.paging import PagingOf
from service.problems import RESPONSES, Refusal
from service.schemas import Given, Line, Moment, Page, Told
from service.tokens import is_token, new_token, token_hash

router = APIRouter(tags=["access"], responses=RESPONSES, route_class=OnceRoute)

_SESSION = timedelta(hours=12)


class TokenLimits(Given):
    """What the holder of a token may have at a time; null: no limit."""

    studies: int | None = Field(None, ge=0, description="Studies under way.")
    slots: int | None = Field(None, ge=1, description="Workers of one study.")
    disk_bytes: int | None = Field(None, ge=0, description="Bytes of uploads.")


class NewToken(Given):
    """A token to be made."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "ci", "scope": "launch", "expires_in_days": 90}]}
    )

    name: Line = Field(min_length=1, max_length=100)
    scope: Literal["read", "launch", "admin"]
    expires_in_days: float | None = Field(None, gt=0, le=3650, description="Null: never.")
    limits: TokenLimits = TokenLimits()


class Token(Told):
    """Who may ask for what; the secret itself is not kept."""

    id: str = Field(examples=["tok_1"])
    name: str
    scope: Literal["read", "launch", "admin"]
    created: Moment
    expires: Moment | None
    last_used: Moment | None
    limits: dict[str, int | None]


class MadeToken(Token):
    """A token that was just made."""

    token: str = Field(description="The secret, shown this once.")


class Login(Given):
    """What opens a session."""

    token: str = Field(max_length=200, examples=["akd_…"])


class WhoAmI(Told):
    """The caller."""

    name: str
    scope: Literal["read", "launch", "admin"]
    limits: dict[str, int | None]
    authentication: bool = Field(description="Whether this service asks for tokens.")


@router.get("/tokens", response_model=Page[Token])
def list_tokens(_caller: Admin, store: StoreOf, paging: PagingOf) -> Any:
    """Lists tokens, oldest first."""
    return paging.page(store.tokens(), token_json)


@router.post("/tokens", status_code=201, response_model=MadeToken)
def create_token(_caller: Admin, new: NewToken, store: StoreOf) -> Any:
    """Makes a token; its secret is in this answer and nowhere else."""
    days = new.expires_in_days
    record, secret = make_token(
        store,
        new.name,
        Scope[new.scope.upper()],
        lives=None if days is None else timedelta(days=days),
        limits=new.limits.model_dump(exclude_none=True),
    )
    return {**token_json(record), "token": secret}


@router.delete("/tokens/{token}", status_code=204)
def revoke_token(
    _caller: Admin, token: Annotated[str, Path(examples=["tok_1"], max_length=40)], store: StoreOf
) -> None:
    """Ends a token and all sessions that were opened with it."""
    store.remove_token(number_of(Kind.TOKEN, token))


@router.post("/session", response_model=WhoAmI, dependencies=[Depends(refuse_foreign_origin)])
def open_session(
    request: Request, login: Login, store: StoreOf, settings: SettingsOf, response: Response
) -> Any:
    """Opens a session for a browser; the answer sets its cookie."""
    found = store.token_of(token_hash(login.token)) if is_token(login.token) else None
    if found is None or found.parent is not None:
        raise Refusal(
            401,
            "unauthenticated",
            "the token is not known here, or has expired",
            hint="`autokd token create` makes one",
        )
    request.state.caller = Caller(found, Scope[found.scope.upper()])  # for the audit log
    store.remove_expired_tokens()
    expires = datetime.now(UTC) + _SESSION
    secret = new_token()
    store.add_token(
        found.name,
        token_hash(secret),
        found.scope,
        expires=min(expires, found.expires or expires),
        limits=found.limits,
        parent=found.id,
    )
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(_SESSION.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=settings.tls,
        path="/",
    )
    return {
        "name": found.name,
        "scope": found.scope,
        "limits": found.limits,
        "authentication": settings.authentication,
    }


@router.delete("/session", status_code=204)
def close_session(caller: Reader, store: StoreOf, response: Response) -> None:
    """Ends the session that the request came with."""
    if caller.token is not None and caller.token.parent is not None:
        store.remove_token(caller.token.id)
    response.delete_cookie(COOKIE, path="/")


@router.get("/whoami", response_model=WhoAmI)
def read_whoami(caller: Reader, settings: SettingsOf) -> Any:
    """Says who asks, and what they may."""
    return {
        "name": caller.name,
        "scope": caller.scope.word,
        "limits": caller.token.limits if caller.token else {},
        "authentication": settings.authentication,
    }
