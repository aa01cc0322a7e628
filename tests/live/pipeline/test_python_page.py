"""docs/python.md, cell by cell, as somebody would work through it in a notebook."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from tests.faults.model_flips import plain, save
from tests.live.pipeline.conftest import Place, Said

PAGE = Path(__file__).parents[3] / "docs" / "python.md"
CELL = re.compile(r"(<!-- [^\n]+ -->\n)?```python\n(.*?)```", re.DOTALL)


@pytest.mark.slow
def test_every_cell_of_the_page_does_what_it_says(
    walked: tuple[Place, Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, said = walked
    folder = tmp_path / "notebook"
    shutil.copytree(place.folder, folder)
    (folder / "tiny.yaml").rename(folder / "scenario.yaml")
    save(plain(), folder / "model.onnx")
    monkeypatch.chdir(folder)
    cells = [(mark, code) for mark, code in CELL.findall(PAGE.read_text()) if not mark]
    assert len(cells) >= 12
    shell: Any = InteractiveShell()
    shell.run_line_magic("load_ext", "loadplan")  # what an import did before this shell was there
    shown = {}
    for _, code in cells:
        done = shell.run_cell(code)
        assert done.success, f"{code}\n{done.error_before_exec or done.error_in_exec}"
        shown[code.strip().splitlines()[-1]] = shell.display_formatter.format(done.result)[0]
    capsys.readouterr()

    assert len(list(folder.glob("results/tiny/*/manifest.json"))) == 1  # no cell made a run of its own
    plan = said.document["plan"]
    assert plan["recommended"]["offers"][0]["instance_type"] in shown["end"]["text/html"]
    assert (
        plan["recommended"]["usd_per_month"]
        in shown["fleet.usd_per_month, fleet.predicted_p99_s, fleet.basis"]["text/plain"]
    )
    # ceil(60 / (60 × 0.5)) + 1 spare, by hand
    assert "3 × c7i.large" in shown['loadplan.plan_given("scenario.yaml", "capacities.csv")']["text/html"]
    assert "50 requests/s" in shown["driven  # an invalid run shows no latency"]["text/html"]
