"""Workbooks: the one module that knows XlsxWriter. Rows and columns count from 0.

Every cell has a type, so no text is ever taken for a formula, a number or a link, and every formula carries the value
that it has now: programs that show a sheet without computing it (previews, mail, phones) show the plan's figures. The
decision a reader would question: the file's date is handed in, so that the same plan gives the same bytes.
"""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from loadplan.report.budget.cells import safe_text

_INPUT = {"bg_color": "#FFF7CC", "border": 1, "border_color": "#C9B458"}
_STYLES: dict[str, dict[str, object]] = {
    "plain": {},
    "wrapped": {"text_wrap": True, "valign": "top"},
    "title": {"bold": True, "font_size": 14},
    "head": {"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"},
    "note": {"italic": True, "font_color": "#555555"},
    "usd": {"num_format": "#,##0.00"},
    "price": {"num_format": "0.0000##"},
    "rate": {"num_format": "#,##0.###"},
    "count": {"num_format": "#,##0"},
    "ratio": {"num_format": "0.0#%"},
    "input_usd": {"num_format": "#,##0.00", **_INPUT},
    "input_price": {"num_format": "0.0000##", **_INPUT},
    "input_rate": {"num_format": "#,##0.###", **_INPUT},
    "input_count": {"num_format": "#,##0", **_INPUT},
    "input_ratio": {"num_format": "0.0#%", **_INPUT},
}


class Sheet:
    """One sheet, written cell by cell."""

    def __init__(self, name: str, worksheet: Any, formats: dict[str, Any]) -> None:
        self.name = name
        self._worksheet = worksheet
        self._formats = formats

    def text(self, row: int, column: int, text: str, style: str = "plain") -> None:
        """A text, which no spreadsheet takes for a formula."""
        self._worksheet.write_string(row, column, safe_text(text), self._formats[style])

    def number(self, row: int, column: int, number: float, style: str = "plain") -> None:
        """A number, full precision whatever is shown of it."""
        self._worksheet.write_number(row, column, number, self._formats[style])

    def formula(self, row: int, column: int, formula: str, *, now: float | str, style: str = "plain") -> None:
        """A formula of loadplan's own, never one with a user's text in it, and the value it has `now`."""
        value = safe_text(now) if isinstance(now, str) else now
        self._worksheet.write_formula(row, column, formula, self._formats[style], value)

    def texts(self, row: int, texts: Sequence[str], style: str = "plain", *, column: int = 0) -> None:
        """Texts side by side, from a column on."""
        for i, text in enumerate(texts):
            self.text(row, column + i, text, style)

    def layout(self, widths: Sequence[float], *, n_frozen_rows: int = 0) -> None:
        """Widths of the columns in characters, and how many rows stay in view."""
        for column, width in enumerate(widths):
            self._worksheet.set_column(column, column, width)
        if n_frozen_rows:
            self._worksheet.freeze_panes(n_frozen_rows, 0)


class Book:
    """A workbook in memory."""

    def __init__(self, *, title: str, created_at: datetime) -> None:
        import xlsxwriter

        self._buffer = io.BytesIO()
        # Only texts that are written as texts may be texts: nothing is guessed from how they look.
        guesses = dict.fromkeys(("strings_to_formulas", "strings_to_urls", "strings_to_numbers"), False)
        self._workbook = xlsxwriter.Workbook(self._buffer, {"in_memory": True, **guesses})
        self._workbook.set_properties({"title": safe_text(title), "created": created_at.replace(tzinfo=None)})
        self._formats = {name: self._workbook.add_format(style) for name, style in _STYLES.items()}

    def sheet(self, name: str) -> Sheet:
        """A new sheet behind those there are."""
        return Sheet(name, self._workbook.add_worksheet(name), self._formats)

    def name_cell(self, name: str, sheet: Sheet, row: int, column: int) -> None:
        """Let formulas and people call a cell by a name."""
        self._workbook.define_name(name, f"={sheet.name}!{ref(row, column, fixed=True)}")

    def to_bytes(self) -> bytes:
        """The finished file; nothing can be written after it."""
        self._workbook.close()
        return self._buffer.getvalue()


def ref(row: int, column: int, *, fixed: bool = False) -> str:
    """A cell as formulas write it, such as `B4`, or `$B$4` where it is `fixed`."""
    letters, rest = "", column + 1
    while rest:
        rest, digit = divmod(rest - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return f"${letters}${row + 1}" if fixed else f"{letters}{row + 1}"


def span(first: tuple[int, int], last: tuple[int, int]) -> str:
    """A block of cells between two corners, such as `$B$4:$B$9`."""
    return f"{ref(*first, fixed=True)}:{ref(*last, fixed=True)}"
