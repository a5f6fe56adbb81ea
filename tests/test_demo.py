"""The demo, on rows that look like MovieLens's."""

import numpy as np

from rankup_keras import demo
from rankup_keras.data.rows import Rows
from rankup_keras.data.splits import Splits


def make_rows(rng: np.random.Generator, rows: int, start: int) -> Rows:
    columns = {
        "user_id": rng.integers(1, 30, rows).astype(str),
        "age": rng.integers(18, 70, rows).astype(np.float32),
        "gender": rng.choice(["F", "M"], rows),
        "occupation": rng.choice(["artist", "doctor"], rows),
        "history": rng.integers(1, 50, (rows, 20)).astype(str),
        "item_id": rng.integers(1, 50, rows).astype(str),
        "release_year": rng.choice(["1994", "1995"], rows),
        "genres": np.tile(["Drama", "", "", "", "", ""], (rows, 1)),
        "timestamp": np.arange(start, start + rows),
    }
    return Rows(columns, {task: rng.integers(0, 2, rows).astype(np.float32) for task in demo.TASKS})


def test_demo(tmp_path, monkeypatch, capfd):
    rng = np.random.default_rng(0)
    splits = Splits(*(make_rows(rng, 200, part * 200) for part in range(3)))
    monkeypatch.setattr(demo, "movielens_100k", lambda **_: splits)
    monkeypatch.setattr(demo, "MODELS", {"time": ("RankUp", demo.EVENTS)})
    arguments = ["--splits", "time", "--epochs", "1", "--output", str(tmp_path / "export")]
    assert demo.main([*arguments, "--runs", str(tmp_path / "runs")]) == 0
    out = capfd.readouterr().out
    assert "Largest difference between model and export on 200 raw rows" in out
    header, *rows = out.split("== Results on the test rows\n")[1].splitlines()
    assert header.split()[:4] == ["split", "model", "parameters", "like"]
    assert [row.split()[:2] for row in rows] == [["time", "RankUp"], ["time", "RankUp,"]]
    assert (tmp_path / "export/1/saved_model.pb").is_file()
    for name in ("rankup", "rankup_events"):
        assert (tmp_path / "runs/time" / name / "effective_rank.png").is_file()
