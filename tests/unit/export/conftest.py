"""Exports what the body of a factory returns, as a scenario would."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadplan.export.artifact import ExportedModel, ExportRun
from loadplan.export.runner import export_model
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.reader import read_scenario

# Labels of every kind on one score: two classes, three, counts, a number near 100, and grades of lists of 20 rows.
HEADER = """\
import numpy as np
import pandas as pd
from loadplan.export.source import TrainedModel
rng = np.random.default_rng(0)
rows = rng.normal(size=(400, 5)).astype(np.float32)
score = rows[:, 0] + rows[:, 1] * rows[:, 2]
two, three = (score > 0).astype(int), np.digitize(score, [-0.5, 0.5])
counts, grades, lists = rng.poisson(np.exp(score / 3)), np.digitize(score, [-1, 0, 1]), np.repeat(np.arange(20), 20)
gaps = np.where(rng.random(rows.shape) < 0.1, np.float32(np.nan), rows)
kinds = rows.copy()
kinds[:, 3] = rng.integers(0, 8, 400)
frame = pd.DataFrame(rows, columns=["age", "income", "visits", "days", "price"])
"""


@dataclass(frozen=True)
class Exported:
    run: ExportRun
    payloads: PayloadSet
    model: ExportedModel

    @property
    def max_abs_error(self) -> float:
        return max(check.max_abs_error for check in self.model.parity)


ExportSource = Callable[..., Exported]


@pytest.fixture
def export_source(tmp_path: Path) -> ExportSource:
    """Export with `kind` as the model's source; the rows and labels above are at hand."""

    def export(kind: str, *body: str, judged_by: str = "rows") -> Exported:
        lines = [
            "global rows, kinds, frame",
            *"\n".join(body).splitlines(),
            f"return TrainedModel(estimator=model, rows={judged_by})",
        ]
        code = "\n".join(f"    {line}" for line in lines)
        (tmp_path / "shop_model.py").write_text(f"{HEADER}\ndef build():\n{code}\n")
        scenario = tmp_path / "shop.yaml"
        scenario.write_text(
            f"model: {{source: {kind}, factory: 'shop_model:build'}}\n"
            "traffic: {peak_rps: 10}\nobjectives: [{p99_ms: 50}]\n"
        )
        source = read_scenario(scenario).model
        assert source is not None
        (tmp_path / "models").mkdir()
        run, payloads = export_model(source, models_folder=tmp_path / "models")
        return Exported(run, payloads, run.models[0])

    return export
