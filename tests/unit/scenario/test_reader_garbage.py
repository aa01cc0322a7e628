import contextlib
import math
import tempfile
from dataclasses import fields, is_dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from loadplan.errors import InputError
from loadplan.scenario.reader import read_scenario

DIGITS = (Path(__file__).parents[3] / "scenarios" / "digits.yaml").read_text()

# Text that YAML, or people, take for values.
WORDS = """~ null yes no on true .nan -.inf 1e309 -1e309 0x1F 0o17 1_000 12:30:00 2026-01-01 007 +.5 5. -0 1e-320
    {} [] [[]] {a:b} '' "\\0" "\\x" ! !!int & * | > - ? : @ ` % # [ { } ] --- ... <<"""
VALUES = st.one_of(
    st.sampled_from(WORDS.split()),
    st.integers().map(str),
    st.floats().map(repr),
    st.text(max_size=12),
)


def read_text(text: str | bytes) -> None:
    """The text either is a scenario whose numbers are finite, or one InputError; never another error."""
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(InputError):
        path = Path(folder) / "any.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        assert_finite(read_scenario(path))


def assert_finite(value: object) -> None:
    if is_dataclass(value):
        for field in fields(value):
            assert_finite(getattr(value, field.name))
    elif isinstance(value, (tuple, list)):
        for item in value:
            assert_finite(item)
    elif isinstance(value, float):
        assert math.isfinite(value)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_never_give_a_traceback(data: bytes) -> None:
    read_text(data)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab01.:-{}[],'\"&*!|>%@?#~ \n\t\\x\u202e", max_size=60))
def test_random_yaml_never_gives_a_traceback(text: str) -> None:
    read_text(text)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_scenario_with_any_value_swapped_never_gives_a_traceback(data: st.DataObject) -> None:
    lines = [line.partition("  #")[0] for line in DIGITS.splitlines() if not line.startswith("#")]
    keyed = [number for number, line in enumerate(lines) if ": " in line]
    number = data.draw(st.sampled_from(keyed))
    key, _, _ = lines[number].partition(": ")
    lines[number] = f"{key}: {data.draw(VALUES)}"
    read_text("\n".join(lines))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_scenario_never_gives_a_traceback(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(DIGITS)))
    end = data.draw(st.integers(start, min(start + 40, len(DIGITS))))
    read_text(DIGITS[:start] + data.draw(VALUES) + DIGITS[end:])
