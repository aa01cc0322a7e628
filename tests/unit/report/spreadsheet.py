"""The budget's workbook computed by programs of others: the package `formulas`, and LibreOffice where it is there."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openpyxl

Values = dict[str, Any]  # by `Sheet!B4`


def read_values(path: Path) -> Values:
    """What is stored as the value of every cell, formulas included."""
    book = openpyxl.load_workbook(path, data_only=True)
    return {f"{sheet.title}!{cell.coordinate}": cell.value for sheet in book for row in sheet for cell in row}


def read_formulas(path: Path) -> dict[str, str]:
    """The formula of every cell that has one."""
    book = openpyxl.load_workbook(path)
    cells = ((f"{sheet.title}!{cell.coordinate}", cell) for sheet in book for row in sheet for cell in row)
    return {name: str(cell.value) for name, cell in cells if cell.data_type == "f"}


class Computed:
    """A workbook whose formulas the package `formulas` computes."""

    def __init__(self, path: Path) -> None:
        import formulas

        self._file = path.name
        self._model = formulas.ExcelModel().loads(str(path)).finish()

    def values(self, changed: Mapping[str, float]) -> Values:
        """Every cell after some were changed."""
        found = self._model.calculate(inputs={self._key(name): value for name, value in changed.items()})
        values: Values = {}
        prefix = f"'[{self._file}]"
        for key, ranges in found.items():
            name = str(key)
            if not name.startswith(prefix) or ":" in name or "!" not in name:
                continue
            sheet, _, cell = name.removeprefix(prefix).partition("'!")
            values[f"{sheet.capitalize()}!{cell}"] = ranges.value[0, 0]
        return values

    def _key(self, name: str) -> str:
        sheet, _, cell = name.partition("!")
        return f"'[{self._file}]{sheet.upper()}'!{cell}"


def computed_by_office(path: Path, changes: list[Mapping[str, float]], folder: Path) -> list[Values]:
    """The same by LibreOffice, once for each change: one process computes all of the files."""
    files = []
    for i, changed in enumerate(changes):
        book = openpyxl.load_workbook(path)  # keeps no stored value, so that every formula has to be computed
        for name, value in changed.items():
            sheet, _, cell = name.partition("!")
            book[sheet][cell] = value
        files.append(folder / f"changed-{i}.xlsx")
        book.save(files[-1])
    out = folder / "computed"
    profile = f"-env:UserInstallation=file://{folder / 'office'}"
    command = [str(office()), "--headless", profile, "--convert-to", "xlsx", "--outdir", str(out), *map(str, files)]
    subprocess.run(command, check=True, capture_output=True, timeout=110)
    return [read_values(out / file.name) for file in files]


def office() -> str | None:
    """The program of LibreOffice, where there is one."""
    return shutil.which("soffice")
