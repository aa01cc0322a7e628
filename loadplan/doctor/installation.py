"""Is everything installed? Imports nothing that may be what is missing."""

from collections.abc import Sequence

from loadplan import __version__
from loadplan.doctor.finding import Finding
from loadplan.doctor.installed import Part
from loadplan.errors import EnvironmentFault

# Beyond these nobody has tried it.
_PYTHON_FIRST, _PYTHON_LAST = (3, 11), (3, 13)
# The runtimes are a finding of their own; the others are for who works on loadplan.
_EXTRAS_ELSEWHERE = frozenset({"", "cpu", "gpu", "dev", "images"})


def python_finding(version: Sequence[int]) -> Finding:
    """Whether loadplan is tested with this Python (major, minor, micro)."""
    said = ".".join(map(str, version))
    if _PYTHON_FIRST <= tuple(version[:2]) <= _PYTHON_LAST:
        return Finding(name="python", state="ok", what=said)
    first, last = (".".join(map(str, each)) for each in (_PYTHON_FIRST, _PYTHON_LAST))
    return Finding(
        name="python",
        state="doubt",
        what=f"{said}; loadplan is tested with {first} to {last}",
        fix=f"install it with another one, such as: uv venv --python {last}",
    )


def system_finding(fault: EnvironmentFault | None, *, name: str) -> Finding:
    """Whether this system lets anything be measured; `name` is what it calls itself."""
    if fault is None:
        return Finding(name="system", state="ok", what=name)
    return Finding(name="system", state="lack", what=fault.what, fix=fault.fix)


def loadplan_finding(parts: Sequence[Part]) -> Finding:
    """Whether the packages that loadplan always needs are there, in versions that do."""
    always = next((part for part in parts if not part.extra), None)
    if always is None:
        return Finding(
            name="loadplan",
            state="doubt",
            what=f"{__version__}, run from its folder: it isn't installed, so nothing says what it needs",
            fix='from a clone: pip install ".[cpu]"',
        )
    if always.is_there:
        return Finding(name="loadplan", state="ok", what=f"{__version__} with all the packages it needs")
    return Finding(
        name="loadplan", state="lack", what=f"{__version__}, and {_unmet(always)}", fix=_install(always.to_install)
    )


def extras_finding(parts: Sequence[Part]) -> Finding:
    """Which kinds of models beside ONNX files can be exported, and which wires can be driven."""
    extras = [part for part in parts if part.extra not in _EXTRAS_ELSEWHERE]
    there = [part.extra for part in extras if part.is_there]
    absent = [part.extra for part in extras if not part.is_there]
    broken = [part for part in extras if part.misfits and not part.missing]
    if broken:
        names = tuple(dict.fromkeys(name for part in broken for name in part.misfits))
        wanted = tuple(dict.fromkeys(text for part in broken for text in part.to_install))
        what = f"{', '.join(names)} is there, in a version that {', '.join(part.extra for part in broken)} can't use"
        return Finding(name="extras", state="doubt", what=what, fix=_install(wanted))
    others = f'; `pip install "loadplan[NAME]"` adds {", ".join(absent)}' if absent else ""
    return Finding(name="extras", state="ok", what=f"{', '.join(there) or 'none'}{others}")


def _unmet(part: Part) -> str:
    said = [f"{' and '.join(part.missing)} is missing"] if part.missing else []
    return " and ".join([*said, *(f"{name} is of a version that doesn't do" for name in part.misfits)])


def _install(requirements: Sequence[str]) -> str:
    quoted = (f'"{text}"' for text in requirements)
    return f"pip install {' '.join(quoted)}"
