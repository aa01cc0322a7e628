"""Tensors as bytes: by the protocol's own words, written out by hand, and there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from loadplan.v2_tensors import DATATYPES, BadTensor, datatype_of, decode, encode, split_message, take_parts

# Little-endian, row-major; IEEE 754: 1.0 is 0x3f800000 in 32 bits, 0x3c00 in 16, 0x3ff0000000000000 in 64.
BY_HAND = {
    "FP32": (np.array([[1.0, -2.0]], dtype=np.float32), "0000803f 000000c0"),
    "FP16": (np.array([1.0], dtype=np.float16), "003c"),
    "FP64": (np.array([1.0]), "000000000000f03f"),
    "INT64": (np.array([-2], dtype=np.int64), "feffffffffffffff"),
    "UINT16": (np.array([258], dtype=np.uint16), "0201"),
    "BOOL": (np.array([True, False]), "0100"),
    "BYTES": (np.array(["ab", "", "é"], dtype=np.object_), "02000000 6162 00000000 02000000 c3a9"),
}


@pytest.mark.parametrize(("datatype", "values", "written"), [(k, *v) for k, v in BY_HAND.items()], ids=BY_HAND)
def test_each_type_is_written_as_the_protocol_says(datatype: str, values: NDArray[np.generic], written: str) -> None:
    raw = bytes.fromhex(written)
    assert datatype_of(values) == datatype
    assert encode(values) == raw
    back = decode(raw, datatype=datatype, shape=values.shape)
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)


def test_rows_follow_each_other_however_the_array_lies_in_memory() -> None:
    values = np.arange(6, dtype=np.uint8).reshape(2, 3).T
    assert encode(values) == bytes([0, 3, 1, 4, 2, 5])
    assert encode(values.astype(">i2")) == bytes.fromhex("0000 0300 0100 0400 0200 0500")


def test_text_of_fixed_width_is_text_too() -> None:
    assert encode(np.array(["a", "bc"])) == bytes.fromhex("01000000 61 02000000 6263")


NUMBERS = [name for name in DATATYPES if name != "object"]


@given(st.sampled_from(NUMBERS).flatmap(lambda name: arrays.arrays(name, arrays.array_shapes(min_side=0))))
def test_what_was_written_is_read_again(values: NDArray[np.generic]) -> None:
    back = decode(encode(values), datatype=DATATYPES[values.dtype.name], shape=values.shape)
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)  # NaN included


@given(st.lists(st.text()))
def test_any_text_is_read_again(texts: list[str]) -> None:
    values = np.array(texts, dtype=np.object_)
    assert decode(encode(values), datatype="BYTES", shape=values.shape).tolist() == texts


def test_a_tensor_at_an_odd_place_is_brought_to_an_even_one() -> None:
    body = memoryview(b"x" + encode(np.array([1.5, 2.5])))
    values = decode(body[1:], datatype="FP64", shape=(2,))
    assert values.flags.aligned
    assert values.tolist() == [1.5, 2.5]


WRONG = {
    "too few bytes": ("FP32", (2,), bytes(7)),
    "too many bytes": ("FP32", (2,), bytes(12)),
    "a bool of two": ("BOOL", (1,), b"\x02"),
    "an unknown type": ("BF16", (1,), bytes(2)),
    "half a length": ("BYTES", (1,), b"\x01\x00"),
    "a text that ends early": ("BYTES", (1,), b"\x05\x00\x00\x00ab"),
    "a text that claims four gigabytes": ("BYTES", (1,), b"\xff\xff\xff\xffab"),
    "too many texts": ("BYTES", (1,), bytes(8)),
    "too few texts": ("BYTES", (2,), bytes(4)),
    "text that is none": ("BYTES", (1,), b"\x01\x00\x00\x00\xff"),
}


@pytest.mark.parametrize(("datatype", "shape", "raw"), WRONG.values(), ids=WRONG)
def test_bytes_that_are_not_the_tensor_are_refused(datatype: str, shape: tuple[int, ...], raw: bytes) -> None:
    with pytest.raises(BadTensor):
        decode(raw, datatype=datatype, shape=shape)


def test_a_message_is_its_json_and_the_tensors_in_turn() -> None:
    json, tail = split_message(b"{}abcdef", 2)
    assert json == b"{}"
    assert [bytes(part) for part in take_parts(tail, [1, 0, 5])] == [b"a", b"", b"bcdef"]


@pytest.mark.parametrize("sizes", [[5], [7], [], [-1, 7], [6.0], ["6"], [True], [None]])
def test_sizes_that_do_not_add_up_are_refused(sizes: list[object]) -> None:
    with pytest.raises(BadTensor):
        take_parts(memoryview(b"abcdef"), sizes)


@pytest.mark.parametrize("n_json_bytes", [-1, 9])
def test_a_json_longer_than_the_message_is_refused(n_json_bytes: int) -> None:
    with pytest.raises(BadTensor):
        split_message(b"{}abcdef", n_json_bytes)
