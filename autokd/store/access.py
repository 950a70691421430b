"""Who may ask, what was asked already, and what was asked by whom."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from autokd.errors import ConflictError, NotFoundError, StoreUnavailableError
from autokd.store.database import Database
from autokd.store.once import NOBODY, has_made
from autokd.store.service_records import AuditRecord, TokenRecord
from autokd.store.service_rows import AuditRow, IdempotencyRow, TokenRow

_IDEMPOTENT_FOR = timedelta(hours=24)
_UNDER_WAY_FOR = timedelta(seconds=10)
"""Whoever took a request on and made nothing for so long is taken to be dead."""

_USED_TO_THE = timedelta(minutes=1)


class Access(Database):
    """Tokens, idempotency keys and the audit log."""

    def add_token(
        self,
        name: str,
        digest: str,
        scope: str,
        *,
        expires: datetime | None = None,
        limits: Mapping[str, int] | None = None,
        parent: int | None = None,
    ) -> TokenRecord:
        """Record a token by the SHA-256 of its secret, 64 hexadecimal digits."""
        with self._write() as session:
            row = TokenRow(
                parent=parent,
                name=name,
                digest=digest,
                scope=scope,
                limits=dict(limits or {}),
                created=datetime.now(UTC),
                expires=expires,
            )
            session.add(row)
            session.flush()
            session.refresh(row)
            return TokenRecord.of(row)

    def token_of(self, digest: str) -> TokenRecord | None:
        """The token of that digest if there is one that has not expired; notes that it was used."""
        now = datetime.now(UTC)
        with self._read() as session:
            row = session.scalar(select(TokenRow).where(TokenRow.digest == digest))
            if row is None or (row.expires is not None and row.expires <= now):
                return None
            found = TokenRecord.of(row)
        if found.last_used is None or now - found.last_used > _USED_TO_THE:
            # Who may not be noted down, because another process writes, may still read.
            with suppress(StoreUnavailableError), self._write() as session:
                used = session.get(TokenRow, found.id)
                if used is not None:
                    used.last_used = now
        return found

    def hold_token(self, token_id: int) -> None:
        """Make others that hold the token wait for the end of the transaction; in `together`."""
        with self._write() as session:
            session.get(TokenRow, token_id, with_for_update=True)

    def tokens(self) -> list[TokenRecord]:
        """Tokens, oldest first, sessions left out."""
        with self._read() as session:
            rows = session.scalars(
                select(TokenRow).where(TokenRow.parent.is_(None)).order_by(TokenRow.id)
            )
            return [TokenRecord.of(row) for row in rows]

    def remove_token(self, token_id: int) -> TokenRecord:
        """End a token and the sessions that were opened with it. Raises NotFoundError."""
        with self._write() as session:
            row = session.get(TokenRow, token_id)
            if row is None:
                raise NotFoundError(f"there is no token {token_id}")
            found = TokenRecord.of(row)
            session.execute(delete(TokenRow).where(TokenRow.parent == token_id))
            session.delete(row)
            return found

    def remove_expired_tokens(self) -> None:
        """Forget tokens and sessions that have expired."""
        with self._write() as session:
            session.execute(delete(TokenRow).where(TokenRow.expires <= datetime.now(UTC)))

    # Idempotency

    def begin_request(self, owner: int | None, key: str, fingerprint: str) -> dict[str, Any] | None:
        """Take a request on that is to be done once.

        Args:
            owner: id of the token it came with.
            key: what the client calls the request.
            fingerprint: of all that it asks for, 64 hexadecimal digits.

        Returns:
            The response that it had when it came first; None: it has none yet, and is to be done.

        Raises:
            ConflictError: the key was used for another request, or its first one is under way.
        """
        now = datetime.now(UTC)
        try:
            with self._write() as session:
                session.execute(
                    delete(IdempotencyRow).where(
                        (IdempotencyRow.created < now - _IDEMPOTENT_FOR)
                        | (
                            IdempotencyRow.response.is_(None)
                            & (IdempotencyRow.created < now - _UNDER_WAY_FOR)
                        )
                    )
                )
                row = session.get(IdempotencyRow, (owner or NOBODY, key), with_for_update=True)
                if row is None:
                    session.add(
                        IdempotencyRow(
                            owner=owner or NOBODY, key=key, fingerprint=fingerprint, created=now
                        )
                    )
                    return None
                known, response = row.fingerprint, row.response
                if known == fingerprint and has_made(row):
                    return None
        except IntegrityError:  # the same key, at the same moment
            known, response = fingerprint, None
        if known != fingerprint:
            raise ReusedKeyError(
                f"the idempotency key {key!r} was used for another request",
                hint="use a new key for each request, and the same one only to repeat it",
            )
        if response is None:
            raise ConflictError(
                f"the request with the idempotency key {key!r} is under way",
                hint="wait a moment, then send it again",
            )
        return dict(response)

    def end_request(self, owner: int | None, key: str, response: Mapping[str, Any] | None) -> None:
        """Keep the response of a request; None: it has none and may come again."""
        with self._write() as session:
            row = session.get(IdempotencyRow, (owner or NOBODY, key))
            if row is not None and response is not None:
                row.response = dict(response)
            elif row is not None and not has_made(row):
                session.delete(row)

    # Audit

    def add_audit(
        self,
        *,
        token: int | None,
        name: str,
        operation: str,
        target: str,
        status: int,
        request_id: str,
    ) -> None:
        """Record a request that changed something, or was refused."""
        with self._write() as session:
            session.add(
                AuditRow(
                    time=datetime.now(UTC),
                    token=token,
                    name=name,
                    operation=operation,
                    target=target,
                    status=status,
                    request_id=request_id,
                )
            )

    def audits(self, before: int | None = None, limit: int = 50) -> list[AuditRecord]:
        """The newest `limit` of the audit log whose id is below `before`, newest first."""
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
        if before is not None:
            query = query.where(AuditRow.id < before)
        with self._read() as session:
            return [AuditRecord.of(row) for row in session.scalars(query)]

    def count_audits(self) -> int:
        """Length of the audit log."""
        with self._read() as session:
            return session.scalar(select(func.count()).select_from(AuditRow)) or 0

    def forget_audits(self, older_than: timedelta) -> None:
        """Remove what was recorded so long ago."""
        with self._write() as session:
            session.execute(delete(AuditRow).where(AuditRow.time < datetime.now(UTC) - older_than))


class ReusedKeyError(ConflictError):
    """An idempotency key came with another request than before."""
