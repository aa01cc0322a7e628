"""Which column of a log holds what, by the names that servers, tracers and people give them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loadplan.demand.records import Stamps
from loadplan.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class LogColumns:
    """What a user says of the columns; what is None is found by names and by the log's order."""

    time: str | None = None
    stamps: Stamps | None = None  # whether the time is of the start or of the end of a request
    class_name: str | None = None
    rows: str | None = None


FOUND_BY_NAME = LogColumns()


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The column of each purpose; None where the log has none."""

    time: str
    stamps: Stamps | None = None  # what the time's name says of it
    duration: str | None = None
    duration_unit_s: float | None = None  # of its numbers; None: the name doesn't say
    status: str | None = None
    method: str | None = None
    path: str | None = None
    request: str | None = None  # method and path in one, such as `GET /predict HTTP/1.1`
    class_name: str | None = None
    rows: str | None = None
    sizes: tuple[str, ...] = ()
    weight: str | None = None  # how many requests a line stands for, or the share that was kept
    count: str | None = None  # how many requests an interval had
    request_id: str | None = None

    @property
    def used(self) -> tuple[str, ...]:
        """All columns that are read, each once."""
        named = (self.time, self.duration, self.status, self.method, self.path, self.request, self.class_name)
        more = (self.rows, *self.sizes, self.weight, self.count, self.request_id)
        return tuple(dict.fromkeys(name for name in (*named, *more) if name is not None))


_STARTS = (
    "starttime",
    "startedat",
    "start",
    "requeststart",
    "starttimestamp",
    "receivedat",
    "requestedat",
    "arrivedat",
)
_TIMES = (
    *("timestamp", "time", "ts", "datetime", "timelocal", "timeiso8601", "msec", "eventtime", "requesttimestamp"),
    *("logtime", "createdat", "arrival", "arrivaltime", "arrivals", "times", "date", "t"),
)
_ENDS = ("endtime", "endedat", "end", "finishedat", "completedat", "endtimestamp")
_DURATIONS = (
    *("duration", "requestduration", "latency", "requestlatency", "elapsed", "elapsedtime", "responsetime"),
    *("processingtime", "timetaken", "took", "requesttime"),
)
_UNITS_S = {
    **dict.fromkeys(("ms", "millis", "milliseconds", "msec"), 1e-3),
    **dict.fromkeys(("us", "micros", "microseconds", "usec"), 1e-6),
    **dict.fromkeys(("ns", "nanos", "nanoseconds"), 1e-9),
    **dict.fromkeys(("s", "sec", "secs", "seconds"), 1.0),
}
_STATUS = ("status", "statuscode", "httpstatus", "httpstatuscode", "responsecode", "responsestatus")
_METHOD = ("method", "requestmethod", "httpmethod", "verb")
_PATH = ("path", "requestpath", "uri", "requesturi", "url", "route", "endpoint", "urlpath")
_REQUEST = ("request", "requestline")
_BODY = ("body", "requestbody", "payload", "requestpayload", "requestjson", "postdata")
_CLASS = ("class", "classname", "requestclass", "trafficclass", "segment")
_ROWS = (
    *("rows", "nrows", "numrows", "rowcount", "rowsperrequest", "batchsize", "instances", "ninstances"),
    *("candidates", "ncandidates"),
)
_SIZES = (
    *("bytes", "bytessent", "bodybytessent", "responsebytes", "responsesize", "requestlength", "requestbytes"),
    *("requestsize", "contentlength"),
)
_WEIGHT = ("samplerate", "samplingrate", "sampleratio", "samplingratio", "sampleweight", "samplingweight")
_COUNT = ("count", "counts", "requests", "value")
_ID = ("requestid", "xrequestid", "reqid")


def find_roles(columns: Sequence[str], chosen: LogColumns, *, first_is_time: bool, where: str) -> Roles:
    """The columns by purpose.

    Args:
        columns: as the log calls them.
        chosen: those that the user names.
        first_is_time: whether the first column holds times, by its values; it is taken where no name says so.
        where: the log's name.

    Raises:
        InputError: when no column holds the time, or one that the user names isn't there.
    """
    known = _Names(columns)
    for name in (chosen.time, chosen.class_name, chosen.rows):
        if name is not None and name not in columns:
            raise _refusal(f"there is no column {name}", columns, where, "name one of these")
    time, stamps = chosen.time, None
    if time is None:
        for names, said in ((_STARTS, "start"), (_TIMES, None), (_ENDS, "end")):
            time = known.find(names)
            if time is not None:
                stamps = said
                break
    if time is None and first_is_time:
        time = columns[0]
    if time is None:
        raise _refusal("no column holds the time of a request", columns, where, "name it with --time-column")
    duration, unit_s = known.duration()
    return Roles(
        time=time,
        stamps="start" if stamps == "start" else "end" if stamps == "end" else None,
        duration=None if duration == time else duration,
        duration_unit_s=unit_s,
        status=known.find(_STATUS),
        method=known.find(_METHOD),
        path=known.find(_PATH),
        request=known.find(_REQUEST),
        class_name=chosen.class_name or known.find(_CLASS),
        rows=chosen.rows or known.find(_ROWS),
        sizes=tuple(name for names in _SIZES if (name := known.find((names,))) is not None),
        weight=known.find(_WEIGHT),
        count=known.find(_COUNT),
        request_id=known.find(_ID),
    )


def path_column(columns: Sequence[str]) -> str | None:
    """Of what was asked for, alone or with its method; None where the log has none."""
    known = _Names(columns)
    return known.find(_PATH) or known.find(_REQUEST)


def body_column(columns: Sequence[str]) -> str | None:
    """Of what was sent; None where the log has none."""
    return _Names(columns).find(_BODY)


class _Names:
    """Columns by what is left of their names: letters and digits, in small letters."""

    def __init__(self, columns: Iterable[str]) -> None:
        self._whole: dict[str, str] = {}
        self._last: dict[str, str] = {}  # of `http.request.path` its last part
        for column in columns:
            self._whole.setdefault(_bare(column), column)
            self._last.setdefault(_bare(column.rpartition(".")[2]), column)

    def find(self, names: Iterable[str]) -> str | None:
        """The first of the names that is there."""
        return next((found for name in names if (found := self._whole.get(name) or self._last.get(name))), None)

    def duration(self) -> tuple[str | None, float | None]:
        """The column of how long a request took, and the unit that its name tells."""
        for base in _DURATIONS:
            for unit, unit_s in _UNITS_S.items():
                found = self.find((base + unit,))
                if found is not None:
                    return found, unit_s
        found = self.find(_DURATIONS)
        # nginx writes $request_time in seconds, and nobody else calls a duration so.
        return found, 1.0 if found is not None and _bare(found).endswith("requesttime") else None


def _bare(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def _refusal(what: str, columns: Sequence[str], where: str, fix: str) -> InputError:
    shown = ", ".join(f"{name!s:.40}" for name in columns[:20])
    more = f" and {len(columns) - 20} more" if len(columns) > 20 else ""
    return InputError(what=f"{what}; the log has {shown}{more}", where=where, fix=fix)
