"""YAML 1.2, and what is refused before it costs anything."""

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from rankup_keras.cli.yaml_reader import dump_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("1_000", 1000), ("010", 10), ("0o17", 15), ("0x1F", 31), ("1e3", 1000.0),
        ("-.inf", float("-inf")), ("~", None), ("", None), ("'5'", "5"), ("!!str 5", "5"),
        ("!!float 3", 3.0), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("True", True),
    ],
)  # fmt: skip
def test_scalars_are_those_of_the_core_schema(text, value):
    assert read_yaml(f"a: {text}")[0] == {"a": value}


def bomb(levels=12):
    lines = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]", *lines])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb(), "aliases repeat more than 100,000 values"),
        ("[" * 60, "nested more than 50 levels"),
        ("[" * 100_000, "nest"),
        ("a: &x [*x]", "refers to what it stands in"),
        ("a: *x", "no anchor before it"),
        ("a: 1\na: 2", "'a' is given twice"),
        ("? [1]\n: 2", "key must be a single value"),
        ("a: !!python/object:os.system {}", "tag .* is not allowed"),
        ("a: !!int x", "'x' is no int"),
        ("a: " + "9" * 5000, "too many digits"),
        ("<<: 3", "`<<` takes keys"),
        ("a: 1\n---\nb: 2", "more than one document"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(yaml.YAMLError, match=message):
        read_yaml(text)


def test_keys_that_are_merged_in_come_second():
    content, lines = read_yaml("base: &b {x: 1, y: 2}\nitem:\n  <<: [*b]\n  x: 3\n  '<<': 4")
    assert content["item"] == {"x": 3, "y": 2, "<<": 4}
    assert lines[id(content["item"])] == {"x": 4, "<<": 5}


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=9
)


@hypothesis.given(values)
@hypothesis.settings(max_examples=200, deadline=None)
def test_what_is_dumped_is_read_again(value):
    assert read_yaml(dump_yaml(value))[0] == value
