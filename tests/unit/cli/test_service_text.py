"""What is said of a running service: on the screen before any price, and as JSON."""

import json
from dataclasses import replace

from loadplan.caveat import Caveat
from loadplan.cli.service_text import service_document, service_lines
from loadplan.report.findings import Findings
from tests.unit.test_service_check import MACHINE, asked, fitted

DRIFTED = Caveat(code="fit.service_drifted", what="it changed meanwhile", fix="run it again")
TOLD = Caveat(code="fit.rows_not_told", what="nobody told the rows", fix="tell them", number=2.0)


def test_where_nobody_knows_its_machine_the_answer_is_a_number_of_such_machines() -> None:
    found = Findings(scenario=asked(), machine=MACHINE, service=fitted(usable_rps=200.0))
    said = "\n".join(service_lines(found))
    assert "waits 20 ms without CPU and works 3 ms" in said
    assert "200 requests/s (160 to 220) by its law" in said
    assert "4 machines like the one that it runs on" in said  # as counted in test_service_check
    assert "--instance-type" in said


def test_a_service_that_carries_nothing_needs_no_number_of_machines() -> None:
    found = Findings(scenario=asked(), machine=MACHINE, service=fitted(usable_rps=0.0))
    assert len(service_lines(found)) == 1
    assert service_lines(replace(found, service=None)) == []


def test_machines_read_the_same() -> None:
    known = fitted(usable_rps=200.0)
    document = json.loads(json.dumps(service_document(Findings(scenario=asked(), machine=MACHINE), known)))
    assert document["n_machines_like_it"] == 4
    assert document["capacity"]["usable_capacity_rps_low"] == 160.0
    unknown = replace(known, capacity=replace(known.capacity, n_cores=None, usable_capacity_rps=0.0))
    document = json.loads(json.dumps(service_document(Findings(scenario=asked(), machine=MACHINE), unknown)))
    assert (document["n_machines_like_it"], document["capacity"]["n_cores"]) == (None, None)
    assert document["n_machines_like_it_reason"]
    assert document["capacity"]["n_cores_reason"]


def test_a_doubt_of_the_fit_that_is_one_of_the_capacity_too_is_told_once() -> None:
    known = fitted(usable_rps=200.0)
    known = replace(
        known,
        fit=replace(known.fit, caveats=(DRIFTED,)),
        capacity=replace(known.capacity, caveats=(DRIFTED, TOLD)),
    )
    document = service_document(Findings(scenario=asked(), machine=MACHINE), known)
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
