"""Every answer is judged, however many there are."""

import pytest

from loadplan.load.messages.answers import AnswerBook


@pytest.mark.parametrize("max_kept_bytes", [1 << 20, 400, 0], ids=["all kept", "some kept", "none kept"])
def test_each_answer_is_judged_by_its_own_payload_however_little_memory_there_is(max_kept_bytes: int) -> None:
    book = AnswerBook(lambda payload, body, _: body == b"%d" % payload, max_kept_bytes=max_kept_bytes)
    given = [(payload, b"%d" % said) for payload in range(5) for said in range(5) for _ in range(3)]
    numbers = [book.number(payload, body, -1) for payload, body in given]
    right = book.right_by_number()
    assert [bool(right[number]) for number in numbers] == [body == b"%d" % payload for payload, body in given]


def test_the_same_bytes_with_another_length_of_json_are_another_answer() -> None:
    book = AnswerBook(lambda _payload, _body, n_json_bytes: n_json_bytes == 2)
    numbers = [book.number(0, b"{}x", n_json_bytes) for n_json_bytes in (2, -1)]
    assert [bool(book.right_by_number()[number]) for number in numbers] == [True, False]
