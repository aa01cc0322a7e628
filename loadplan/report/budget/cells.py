"""Texts in cells: what a spreadsheet would run as a formula is told apart from what it may only show.

The decision a reader would question: the mark `'` is written in workbooks as well, where a cell of type text is never
run, because whoever saves the sheet as CSV would hand the formula on.
"""

import csv
import io
from collections.abc import Iterable, Sequence

from loadplan.report.view import plain

# A spreadsheet takes a cell that begins so for a formula; the wide forms are what East Asian ones take for the same.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "＝", "＋", "－", "＠")


def safe_text(cell: str) -> str:
    """A text that no spreadsheet takes for a formula, and whose control characters are written out."""
    shown = plain(cell)
    return f"'{shown}" if shown.startswith("\t") or shown.lstrip().startswith(_FORMULA_STARTS) else shown


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A CSV file; whoever makes the rows has made their texts safe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
