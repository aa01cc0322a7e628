"""Which rows each prepared request carries, and of which class it is.

The rows of the payload set are dealt out one after the other, counted round: where all requests carry k rows, payload
i holds the rows i·k … i·k + k - 1, so that every row is sent and the last request is as large as the others. Where
their number varies, the payloads together follow its law as closely as they can (its quantiles, in an order drawn
once), and each is sent as often as the others: so a run of a few hundred requests has the law's mean and p95, where as
many independent draws would miss them by several percent. Each class is dealt the rows of its own segment.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.load.records import PayloadClasses
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import spread_rows
from loadplan.scenario.spec import RequestClass, RowsPerRequest

Dealt = tuple[NDArray[np.intp], ...]  # the row numbers of each payload

# Payloads whose sizes vary: enough for the mean of a law to come out within a percent, fewer where they would fill the
# memory. A number in JSON takes 10 to 20 bytes, so these are at most 80 MB, and as much again in the generator.
_N_PAYLOADS = 512
_N_PAYLOADS_LEAST = 64
_VALUES_MOST = 4_000_000
_SEED = 1  # of their order; the payloads must not depend on the scenario's seed


def deal_rows(
    payloads: PayloadSet, rows_per_request: RowsPerRequest, classes: Sequence[RequestClass] = ()
) -> tuple[Dealt, PayloadClasses | None]:
    """The rows of each payload, class after class, and which payload is of which class; None where there are none.

    Raises:
        InputError: when there are no rows, or none of the segment that a class sends.
    """
    if not classes:
        return _deal(payloads, np.arange(payloads.n_rows), rows_per_request), None
    dealt = [_deal(payloads, rows_of_class(payloads, one), one.rows_per_request, n=len(classes)) for one in classes]
    return tuple(own for rows in dealt for own in rows), payload_classes(classes, [len(rows) for rows in dealt])


def payload_classes(classes: Sequence[RequestClass], n_payloads: Sequence[int]) -> PayloadClasses:
    """The classes of payloads that lie class after class, so many of each."""
    return PayloadClasses(
        names=tuple(one.name for one in classes),
        shares=tuple(one.share for one in classes),
        of_payload=np.repeat(np.arange(len(classes), dtype=np.int16), n_payloads),
    )


def rows_of_class(payloads: PayloadSet, one: RequestClass) -> NDArray[np.intp]:
    """The rows that a class sends. Raises InputError when there are none of its segment."""
    if one.segment is None:
        return np.arange(payloads.n_rows)
    rows = np.flatnonzero(np.array(payloads.segments) == one.segment)
    if rows.size:
        return rows
    known = sorted(set(payloads.segments) - {""})
    raise InputError(
        what=f"the model has no rows of the segment {one.segment!r:.60}",
        where=f"the payload of the class {one.name}",
        fix=f"name one of {', '.join(known)}, or leave it out to send all rows"
        if known
        else "give each row its segment (`segments` of the factory's TrainedModel, or of the archive of rows), or "
        "leave the payload out to send all rows",
    )


def _deal(payloads: PayloadSet, rows: NDArray[np.intp], law: RowsPerRequest, *, n: int = 1) -> Dealt:
    """The given rows, counted round, to the requests of one of n classes."""
    if rows.size < 1 or law.most < 1:
        raise InputError(
            what=f"{rows.size} payload rows can't be sent {law.most} at a time",
            where="the payloads",
            fix="give at least one row of input data, and at least one row per request",
        )
    sizes = spread_rows(law, _n_payloads(payloads, law, n_rows=rows.size, n_values_most=_VALUES_MOST // n))
    if not law.is_constant:
        sizes = np.random.default_rng(_SEED).permutation(sizes)
    ends = np.cumsum(sizes)
    return tuple(rows[np.arange(end - size, end) % rows.size] for size, end in zip(sizes, ends, strict=True))


def _n_payloads(payloads: PayloadSet, law: RowsPerRequest, *, n_rows: int, n_values_most: int) -> int:
    """As many as it takes to send every row; where the sizes vary also enough for their law, and what memory holds."""
    n_for_all = math.ceil(n_rows / law.mean)
    if law.is_constant:
        return n_for_all
    n_values = sum(values.size for part in (payloads.inputs, payloads.expected) for values in part.values())
    n_held = math.floor(n_values_most / (law.mean * max(n_values, 1) / payloads.n_rows))
    return max(min(max(n_for_all, _N_PAYLOADS), n_held), _N_PAYLOADS_LEAST)
