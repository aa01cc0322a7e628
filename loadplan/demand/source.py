"""A log as a relation of texts: SQL that the data base reads a file of each kind with, a column for each role.

What a log holds is bound as text and cast later, value by value, so that one odd line never stops the reading.
"""

from collections.abc import Sequence

from loadplan.demand.columns import Roles
from loadplan.demand.log_file import ACCESS_LINE, LogFile
from loadplan.demand.sql import quoted, text

# In a relation of an access log. Where the request line is no `METHOD PATH PROTOCOL`, such as a TLS hello, it has none.
ACCESS_COLUMNS = Roles(time="time", request="request", status="status", sizes=("bytes",), duration="duration")

WHOLE_LINE = "_whole_line"  # the column with all of a line; NULL of parquet, whose other columns need not be read
_NO_DELIMITER = chr(1)  # stands in no log, so that a line stays whole
_LONGEST_LINE_BYTES = 1_000_000  # the reader's buffers are sixteen times as large
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_NAMED_DURATION = r"(?:^|[^A-Za-z_])(?:rt|request_time)=\"?(\d+\.\d+)"
_LAST_NUMBER = r"(?:^|\s)(\d+(?:\.\d+)?)\s*$"


def relation(file: LogFile, columns: Sequence[str]) -> str:
    """A subquery with these columns of the log, as text, and the whole line; lines that are blank are left out.

    Args:
        file: the log.
        columns: names as the log has them; all of `ACCESS_COLUMNS` for an access log, whatever is asked.
    """
    match file.kind:
        case "access":
            return _access(file)
        case "jsonl":
            return _json_lines(file, columns)
        case "parquet":
            names = ", ".join(f"CAST({quoted(name)} AS VARCHAR) AS {quoted(name)}" for name in columns)
            return f"(SELECT {names}, NULL AS {WHOLE_LINE} FROM read_parquet({text(file.opened)}))"
        case "csv":
            return _csv(file, columns)


def _access(file: LogFile) -> str:
    unquoted = f"regexp_replace(found.rest, '{_QUOTED}', ' ', 'g')"
    named = f"regexp_extract(found.rest, '{_NAMED_DURATION}', 1)"
    duration = f"coalesce(nullif({named}, ''), nullif(regexp_extract({unquoted}, '{_LAST_NUMBER}', 1), ''))"
    names = "['time', 'request', 'status', 'bytes', 'rest']"
    return (
        f"(SELECT found.time AS time, found.request AS request, found.status AS status, found.bytes AS bytes, "
        f"{duration} AS duration, line AS {WHOLE_LINE} "
        f"FROM (SELECT line, regexp_extract(line, '{ACCESS_LINE}', {names}) AS found FROM {_lines(file)}))"
    )


def _json_lines(file: LogFile, columns: Sequence[str]) -> str:
    """The key `a.b` is b in a, unless the log has a key that is called so."""
    whole = ", ".join(text(_json_path(name)) for name in columns)
    nested = ", ".join(text(_json_path(*name.split(".", 1))) for name in columns)
    names = ", ".join(
        f"coalesce(found[{i}], found[{i + len(columns)}]) AS {quoted(name)}" for i, name in enumerate(columns, start=1)
    )
    return (
        f"(SELECT {names}, line AS {WHOLE_LINE} FROM (SELECT line, CASE WHEN json_valid(line) THEN "
        f"json_extract_string(line, [{whole}, {nested}]) END AS found FROM {_lines(file)}))"
    )


def _json_path(*keys: str) -> str:
    return "$" + "".join('."' + key.replace('"', '\\"') + '"' for key in keys)


def _lines(file: LogFile) -> str:
    """The lines of a text, as the column `line`."""
    return (
        f"(SELECT line FROM read_csv({text(file.opened)}, auto_detect = false, header = false, "
        f"delim = '{_NO_DELIMITER}', quote = '', escape = '', columns = {{'line': 'VARCHAR'}}, store_rejects = true, "
        f"max_line_size = {_LONGEST_LINE_BYTES}, compression = '{file.compression}') "
        "WHERE line IS NOT NULL AND trim(line) <> '')"
    )


def _csv(file: LogFile, columns: Sequence[str]) -> str:
    types = ", ".join(f"{text(name)}: 'VARCHAR'" for name in file.columns)
    names = ", ".join(quoted(name) for name in columns)
    whole = ", ".join(quoted(name) for name in file.columns)
    return (
        f"(SELECT {names}, concat_ws(chr(31), {whole}) AS {WHOLE_LINE} FROM read_csv({text(file.opened)}, "
        f"auto_detect = false, header = {str(file.has_header).lower()}, delim = {text(file.delimiter)}, quote = '\"', "
        f"escape = '\"', columns = {{{types}}}, store_rejects = true, "
        f"max_line_size = {_LONGEST_LINE_BYTES}, compression = '{file.compression}') "
        f"WHERE coalesce({whole}) IS NOT NULL)"
    )
