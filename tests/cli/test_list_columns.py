"""Lists in text, and histories."""

import datetime as dt

from rankup_keras.cli import main
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
    halves = judged(seen=seen, seen_at=[[v + 0.5 for v in own] for own in times])
    assert halves["seen_at"].why == "its lists of numbers differ in length"  # not read as times
    shuffled = judged(codes=[rng.permutation(99)[:n].tolist() for n in lengths])
    assert shuffled["codes"].role == "list"


def test_words_joined_by_commas_are_lists_where_it_is_clear(tmp_path):
    words = ["red", "blue", "green", "black", "white"]
    picked = [rng.permutation(words)[: 1 + i % 3].tolist() for i in range(ROWS)]
    lines = [f'{y},"{",".join(own)}"' for y, own in zip(CLICKED, picked, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["click,colors", *lines]))
    found = read_columns([tmp_path / "a.csv"], None, {}, [])
    assert (found.columns[1].role, found.csv["list_separator"]) == ("list", ",")


def test_thousands_are_no_lists(tmp_path):
    values = [f"{int(v):,}" for v in rng.integers(1, 99999, ROWS)]
    lines = [f'{y},"{own}"' for y, own in zip(CLICKED, values, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["click,price", *lines]))
    found = read_columns([tmp_path / "a.csv"], None, {}, [])
    assert "without thousands separators" in found.columns[1].why
    assert "list_separator" not in found.csv


def _event_columns():
    moments = [1_700_000_000 + 60 * i for i in range(ROWS)]
    lengths = [i % 4 for i in range(ROWS)]
    items = [f"i{v}" for v in rng.integers(0, 40, ROWS)]
    seen = [[f"i{v}" for v in rng.integers(0, 40, n)] for n in lengths]
    kinds = [[("view", "buy")[v] for v in rng.integers(0, 2, n)] for n in lengths]
    times = [[m - 50 * (n - j) for j in range(n)] for m, n in zip(moments, lengths, strict=True)]
    return {"item": items, "seen": seen, "kind": kinds, "at": times, "time": moments}


def _iso(moment, **shift):
    return (dt.datetime.fromtimestamp(moment, dt.UTC) + dt.timedelta(**shift)).isoformat()


def test_aligned_lists_with_times_are_events():
    columns = _event_columns()
    stamps = [[dt.datetime.fromtimestamp(v, dt.UTC) for v in own] for own in columns["at"]]
    text = [[_iso(v) for v in own] for own in columns["at"]]
    dwell = [[0.5 + v for v in range(len(own))] for own in columns["at"]]
    for times, unit in ((columns["at"], "s"), (stamps, ""), (text, "")):
        found = judged(**{**columns, "at": times, "dwell": dwell})
        events = found["at"]
        assert (events.role, events.of, events.unit) == ("events", "time", unit)
        assert events.events["ids"] == {"seen": "item", "kind": ["buy", "view"]}
        assert events.events["numbers"] == {"dwell": "standard"}
        assert events.events["order"] == "oldest_first"
        assert [found[name].role for name in ("seen", "kind", "dwell")] == ["part"] * 3
    newest = judged(**{**columns, "at": [own[::-1] for own in columns["at"]]})["at"]
    assert newest.events["order"] == "newest_first"
    milliseconds = judged(**{**columns, "time": [1000 * v for v in columns["time"]]})
    assert (milliseconds["at"].role, milliseconds["seen"].role) == ("skip", "history")


def test_events_in_text_from_init_to_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns = {"click": CLICKED.tolist(), **_event_columns()}
    columns["at"] = [[_iso(v) for v in own] for own in columns["at"]]
    rows = zip(*columns.values(), strict=True)
    cells = [["|".join(v) if isinstance(v, list) else str(v) for v in row] for row in rows]
    lines = [",".join(columns), *map(",".join, cells)]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    assert main(["init", "a.csv", "--label", "click", "-o", "a.yaml", "--quiet"]) == 0
    text = (tmp_path / "a.yaml").read_text()
    assert "type: events" in text
    assert "matches: true" in text
    faster = ["--set", "training.epochs=1", "--set", "training.batch_size=600"]
    assert main(["train", "a.yaml", "--json", *faster, "--set", "model.num_blocks=1"]) == 0
