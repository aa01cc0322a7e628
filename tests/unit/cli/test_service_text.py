"""What is printed of a running service."""

from dataclasses import replace

from loadplan.caveat import Caveat
from loadplan.cli.service_text import service_document
from tests.unit.test_service_check import fitted

DRIFTED = Caveat(code="fit.service_drifted", what="it changed meanwhile", fix="run it again")
TOLD = Caveat(code="fit.rows_not_told", what="nobody told the rows", fix="tell them", number=2.0)


def test_a_doubt_of_the_fit_that_is_one_of_the_capacity_too_is_told_once() -> None:
    known = fitted(usable_rps=200.0)
    known = replace(
        known,
        fit=replace(known.fit, caveats=(DRIFTED,)),
        capacity=replace(known.capacity, caveats=(DRIFTED, TOLD)),
    )
    document = service_document(known)
    assert document is not None
    assert document["caveats"] == [
        {
            "code": "fit.service_drifted",
            "what": "it changed meanwhile",
            "fix": "run it again",
            "number": None,
            "number_reason": "this doubt has no size",
        },
        {"code": "fit.rows_not_told", "what": "nobody told the rows", "fix": "tell them", "number": 2.0},
    ]
