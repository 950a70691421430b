"""Who asks, and what they may: tokens and sessions, scopes, and what browsers may be tricked into.

A caller is known by a token in the `Authorization` header, or by the cookie of a session that was
opened with one. A browser sends cookies by itself, so a request that comes with one and changes
something must carry a header that no foreign page can set, and no foreign `Origin`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from autokd.store import TRIAL_REQUESTS, Store, TokenRecord
from autokd.trial import StudyWish
from service.names import Kind, id_of
from service.problems import Refusal
from service.settings import Settings
from service.tokens import TokenError, bearer_token, is_token, new_token, token_hash

COOKIE = "autokd_session"
SESSION_HEADER = "X-Autokd-Session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Scope(IntEnum):
    """What a caller may do; each includes those before it."""

    READ = 1
    LAUNCH = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """As tokens and documents call it."""
        return self.name.lower()


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        token: what they showed; None where no authentication is wanted.
        scope: what they may do.
    """

    token: TokenRecord | None
    scope: Scope

    @property
    def name(self) -> str:
        """As the audit log calls them."""
        return self.token.name if self.token else "this machine"

    @property
    def id(self) -> int | None:
        """Id of the token proper: of the one that a session was opened with."""
        return (self.token.parent or self.token.id) if self.token else None

    def limit(self, name: str) -> int | None:
        """The caller's largest `studies`, `slots` or `disk_bytes`; None: no limit."""
        return self.token.limits.get(name) if self.token else None


def authenticate(request: Request) -> Caller | None:
    """The caller of a request; None if it shows nothing.

    Raises:
        Refusal: what it shows is not, or no longer, valid.
    """
    settings: Settings = request.app.state.settings
    store: Store = request.app.state.store
    header, cookie = request.headers.get("authorization"), request.cookies.get(COOKIE)
    refuse_foreign_origin(request)
    if header is not None:
        try:
            secret = bearer_token(header)
        except TokenError as error:
            raise _unauthenticated(error.message, error.hint) from error
    elif cookie is not None and is_token(cookie):
        if request.method not in SAFE_METHODS and SESSION_HEADER not in request.headers:
            raise Refusal(
                403,
                "forbidden",
                f"expected the header {SESSION_HEADER} beside a session's cookie, got none",
                hint=f"send '{SESSION_HEADER}: 1', or a token in place of the cookie",
            )
        secret = cookie
    else:
        return None if settings.authentication else Caller(None, Scope.ADMIN)
    token = store.token_of(token_hash(secret))
    if token is None:
        raise _unauthenticated(
            "the token is not known here, or has expired", "ask for a new one: autokd token create"
        )
    return Caller(token, Scope[token.scope.upper()])


def refuse_foreign_origin(request: Request) -> None:
    """Refuses a request that changes something and comes from another site's page."""
    origin = request.headers.get("origin")
    if request.method in SAFE_METHODS or origin is None:
        return
    host = request.headers.get("host", "").lower()
    if origin.lower() not in (f"http://{host}", f"https://{host}"):
        raise Refusal(403, "foreign_origin", f"a page of {origin[:100]!r} may not ask for this")


_BEARER = HTTPBearer(auto_error=False, scheme_name="token", description="`akd_…`")
_SESSION = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="session", description="Of the dashboard."
)


def _requiring(scope: Scope):  # type: ignore[no-untyped-def]  # a dependency, typed by its use
    def known(
        request: Request,
        _bearer: object = Security(_BEARER, scopes=[scope.word]),
        _session: object = Security(_SESSION, scopes=[scope.word]),
    ) -> Caller:
        caller = authenticate(request)
        if caller is None:
            raise _unauthenticated(
                "expected a token, got none",
                "send the header 'Authorization: Bearer akd_…'; `autokd token create` makes one",
            )
        request.state.caller = caller
        if caller.scope < scope:
            raise Refusal(
                403,
                "forbidden",
                f"expected a token of scope {scope.word}, got one of {caller.scope.word}",
            )
        return caller

    return known


def _unauthenticated(detail: str, hint: str | None) -> Refusal:
    headers = {"WWW-Authenticate": 'Bearer realm="autokd"'}
    return Refusal(401, "unauthenticated", detail, hint=hint, headers=headers)


Reader = Annotated[Caller, Depends(_requiring(Scope.READ))]
Launcher = Annotated[Caller, Depends(_requiring(Scope.LAUNCH))]
Admin = Annotated[Caller, Depends(_requiring(Scope.ADMIN))]


def make_token(
    store: Store,
    name: str,
    scope: Scope,
    *,
    lives: timedelta | None = None,
    limits: dict[str, int] | None = None,
) -> tuple[TokenRecord, str]:
    """A new token in the record, and its secret, which is not kept."""
    secret = new_token()
    expires = None if lives is None else datetime.now(UTC) + lives
    record = store.add_token(name, token_hash(secret), scope.word, expires=expires, limits=limits)
    return record, secret


def token_json(token: TokenRecord) -> dict[str, Any]:
    """A `Token`."""
    return {
        "id": id_of(Kind.TOKEN, token.id),
        "name": token.name,
        "scope": token.scope,
        "created": token.created,
        "expires": token.expires,
        "last_used": token.last_used,
        "limits": token.limits,
    }


@contextmanager
def within_quota(caller: Caller, store: Store) -> Iterator[set[int]]:
    """One transaction that is undone if it gives a token more studies than it may have under way.

    The block gets a set, and puts the ids into it of the studies that it has run.

    Raises:
        Refusal: there would be too many.
    """
    added: set[int] = set()
    most = caller.limit("studies")
    if most is None or caller.id is None:
        yield added
        return
    with store.together():
        store.hold_token(caller.id)  # so that of two requests at once one sees what the other did
        yield added
        under_way = _under_way(caller.id, store) | added
        if len(under_way) > most:
            raise Refusal(
                429,
                "too_many_studies",
                f"expected at most {most} studies of this token under way, there would be "
                f"{len(under_way)}",
                hint="wait for one to end, or pause one",
            )


def _under_way(owner: int, store: Store) -> set[int]:
    """Ids of a token's studies that run or are to run, and of those that it will wake."""
    wanted = store.wanted_studies()
    asked = store.operations(kinds=TRIAL_REQUESTS, states=("queued",))
    waking = {each.study_id for each in asked if each.owner == owner and each.study_id is not None}
    return (waking - {study.id for study in wanted}) | {
        study.id
        for study in wanted
        if study.owner == owner and study.wish in (StudyWish.RUN, StudyWish.STOP)
    }
