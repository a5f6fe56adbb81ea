"""Lists in text, and histories."""

from rankup_keras.cli.column_roles import read_columns
from tests.cli.test_column_roles import CLICKED, ROWS, judged, rng


def test_lists_of_another_columns_values_are_histories():
    items = [f"i{v}" for v in rng.integers(0, 40, ROWS)]
    seen = [[f"i{v}" for v in rng.integers(0, 40, i % 6)] for i in range(ROWS)]
    tags = [[f"t{v}" for v in rng.integers(0, 9, i % 3)] for i in range(ROWS)]
    found = judged(item=items, seen=seen, tags=tags)
    assert (found["seen"].role, found["seen"].of) == ("history", "item")
    assert found["tags"].role == "list"


def test_lists_in_text(tmp_path):
    lines = [
        f"{y},i{i % 20},{'|'.join(f'i{i * j % 20}' for j in range(1, 2 + i % 4))}"
        for i, y in enumerate(CLICKED)
    ]
    (tmp_path / "a.csv").write_text("click,item,seen\n" + "\n".join(lines) + "\n")
    found = read_columns([tmp_path / "a.csv"], None, {}, [])
    assert [column.role for column in found.columns] == ["label", "categorical", "history"]


def test_times_of_events_are_no_values():
    lengths = [i % 4 for i in range(ROWS)]
    seen = [[f"i{v}" for v in rng.integers(0, 40, n)] for n in lengths]
    times = [sorted((1_700_000_000 + rng.integers(0, 10**6, n)).tolist()) for n in lengths]
    found = judged(seen=seen, seen_at=times)
    assert found["seen"].role == "list"
    assert found["seen_at"].role == "skip"
    assert found["seen_at"].why == "its lists are Unix seconds, of the events in 'seen'"
    shuffled = judged(codes=[rng.permutation(99)[:n].tolist() for n in lengths])
    assert shuffled["codes"].role == "list"
