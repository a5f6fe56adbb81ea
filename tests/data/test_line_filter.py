"""Lines that would mislead a CSV parser, taken out and numbered."""

import io

import numpy as np
import pytest

from rankup_keras.data import line_filter
from rankup_keras.data.line_filter import STAND_IN, LineFilter, shifted

TEXT = b'a,b\n1,2\n\n3,"4\n5,6\r\na,b\n7,"8"\n9,0'


@pytest.mark.parametrize("block", [4, 9, 1 << 20])
def test_lines_are_refused_and_the_others_keep_their_numbers(monkeypatch, block):
    monkeypatch.setattr(line_filter, "BLOCK", block)
    lines = LineFilter(io.BytesIO(TEXT), b'"', b"a,b", 1, None)
    assert lines.read() == b'1,2\n5,6\r\n7,"8"\n9,0\n'
    assert [(line, text) for line, text, _ in lines.refused] == [(4, b'3,"4'), (6, b"a,b")]
    assert [lines.line_of(number) for number in (1, 2, 3, 4)] == [2, 5, 7, 8]


def test_long_delimiters_become_one_character():
    lines = LineFilter(io.BytesIO(b"1::2\n"), None, None, 0, b"::")
    assert lines.read() == f"1{STAND_IN}2\n".encode()


def test_shifted_skips_gaps():
    gaps = np.array([1, 3, 4])
    assert [shifted(number, gaps) for number in (1, 2, 3)] == [2, 5, 6]
