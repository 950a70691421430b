"""Operations: what was asked for and takes longer than a request."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.concurrency import run_in_threadpool

from autokd.store import OperationRecord
from service.access import Launcher, Reader
from service.context import StoreOf, study_named
from service.names import Kind, number_of
from service.paging import PagingOf
from service.problems import RESPONSES
from service.schemas import Operation, OperationState, Page
from service.showing import operation_json

router = APIRouter(tags=["operations"], responses=RESPONSES)

OperationId = Annotated[str, Path(examples=["op_5"], max_length=40)]

_LOOK_SECONDS = 0.25


@router.get("/operations", response_model=Page[Operation])
def list_operations(
    _caller: Reader,
    store: StoreOf,
    paging: PagingOf,
    study: Annotated[str | None, Query(description="Id or name.", max_length=200)] = None,
    state: Annotated[list[OperationState] | None, Query()] = None,
) -> Any:
    """Lists operations, newest first."""
    study_id = study_named(store, study, deleted=True).id if study else None
    found = store.operations(study_id, states=state)
    return paging.page(found[::-1], operation_json)


@router.get("/operations/{operation}", response_model=Operation)
async def read_operation(
    _caller: Reader,
    operation: OperationId,
    store: StoreOf,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for its end.")] = 0.0,
) -> Any:
    """Reads an operation, when it has ended or `wait` is over."""
    number = number_of(Kind.OPERATION, operation)
    until = time.monotonic() + wait
    while True:
        found: OperationRecord = await run_in_threadpool(store.operation, number)
        if found.done or time.monotonic() >= until:
            return operation_json(found)
        await asyncio.sleep(_LOOK_SECONDS)


@router.post("/operations/{operation}:cancel", response_model=Operation)
def cancel_operation(_caller: Launcher, operation: OperationId, store: StoreOf) -> Any:
    """Gives an operation up."""
    return operation_json(store.cancel_operation(number_of(Kind.OPERATION, operation)))
