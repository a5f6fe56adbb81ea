"""Modules as the compiler prints them."""

import pytest

from rankup_keras.distribution.ahead_of_time.hlo_text import parse
from rankup_keras.distribution.ahead_of_time.hlo_traffic import count_traffic
from tests.distribution.ahead_of_time.test_hlo_traffic import FAST, ROWS, SIZE, entry


def test_arrays_have_the_size_of_whole_tiles():
    module = parse(entry("  ROOT %a = f32[3]{0:T(512)} parameter(0)"))
    assert module.computations["main"].result.bytes == 4 * 512


def test_instructions_know_their_parts():
    module = parse(
        entry(
            f"  %a = {ROWS} parameter(0)\n"
            f'  ROOT %f = ({FAST}, {ROWS}) fusion(%a, %a), kind=kLoop, calls=%inner, x="(y"'
        )
    )
    (main,) = module.computations.values()
    assert module.entry == "main"
    assert main.result.name == "f"
    assert main.result.operands == ("a", "a")
    assert main.result.bytes == 2 * SIZE
    assert [shape.on_chip for shape in main.result.shapes] == [True, False]
    assert main.result.named("calls") == "inner"
    assert [place for _, place in main.users["a"]] == [0, 1]
    assert main.parameters[0].name == "a"
    with pytest.raises(ValueError, match=r"'f' \(fusion\) names no body"):
        main.result.named("body")


def test_text_that_is_no_module():
    with pytest.raises(ValueError, match="no ENTRY computation"):
        count_traffic("HloModule nothing")
