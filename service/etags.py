"""Conditional requests (RFC 9110)."""

from __future__ import annotations

import re

from autokd.store import StudyRecord
from service.problems import Refusal

_ETAG = re.compile(r'"([0-9]{1,18})-[0-9]{1,18}"')


def is_known(if_none_match: str | None, etag: str | None) -> bool:
    """Whether an `If-None-Match` has the ETag (None: there is none), or `*`, which is any."""
    given = (if_none_match or "").strip()
    return given == "*" or (etag is not None and etag in given)


def etag_of(study: StudyRecord) -> str:
    """Changes with everything that happens; its first part with what people change only.

    The study is read before its trials and its ETag is of that moment, so a body may be newer than
    its ETag, which costs one more reading at most, and never older, which would hide a change.
    """
    return f'"{study.version}-{study.events}"'


def wanted_version(if_match: str | None, study: StudyRecord) -> int | None:
    """The version that a study must have, of those that an `If-Match` lists; None for any.

    What happens in a running study is no reason to refuse its owner, so the second part of an ETag
    is not compared.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    matches = [_ETAG.fullmatch(each.strip()) for each in if_match.split(",")]
    versions = [int(match[1]) for match in matches if match]
    if study.version not in versions:
        raise Refusal(
            412,
            "stale_etag",
            f"expected the ETag {etag_of(study)}, got {if_match[:50]!r}",
            hint="somebody changed the study, or it is no ETag of one; read the study anew",
        )
    return study.version
