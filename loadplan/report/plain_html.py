"""Parts of a page as plain HTML of their own, without a page around them: what a notebook shows.

Every text is escaped, and hidden characters are written out.
"""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from loadplan.report.page import Column, Facts, Table, Text, text
from loadplan.report.view import plain

Part = Text | Facts | Table

N_ROWS = 12  # of a table; a notebook is for a look


def html_of(parts: Iterable[Part]) -> str:
    """One after the other; of a long table the first rows, with the number of the others."""
    return "\n".join(_part(part) for part in parts)


def _part(part: Part) -> Markup:
    match part:
        case Text():
            return Markup("<p>{}</p>").format(plain(part.text))
        case Facts():
            return _table(Table(caption="", columns=(text(""), text("")), rows=part.rows))
        case Table():
            return _table(part)


def _table(table: Table) -> Markup:
    body = [Markup("<tr>{}</tr>").format(_cells(table.columns, row)) for row in table.rows[:N_ROWS]]
    n_more = len(table.rows) - len(body)
    if n_more:
        body.append(Markup('<tr><td colspan="{}">and {:,} more</td></tr>').format(len(table.columns), n_more))
    titles = [plain(column.title) for column in table.columns]
    head = Markup("").join(Markup("<th>{}</th>").format(title) for title in titles)
    return Markup("<table>{}{}<tbody>{}</tbody></table>").format(
        Markup("<caption>{}</caption>").format(plain(table.caption)) if table.caption else "",
        Markup("<thead><tr>{}</tr></thead>").format(head) if any(titles) else "",
        Markup("").join(body),
    )


def _cells(columns: Sequence[Column], row: Sequence[str]) -> Markup:
    """Notebooks set the cells of their tables flush right, which is for figures."""
    cell = {True: Markup("<td>{}</td>"), False: Markup('<td style="text-align:left">{}</td>')}
    return Markup("").join(
        cell[column.kind == "number"].format(plain(value)) for column, value in zip(columns, row, strict=True)
    )
