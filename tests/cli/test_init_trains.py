"""Whatever `init` writes, `train` takes: random files, each with one step of training.

A few of them here; `INIT_FILES=300 python -m pytest tests/cli/test_init_trains.py` tries so many.
"""

import datetime as dt
import decimal
import json
import os

import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from rankup_keras.cli import main

FILES = int(os.environ.get("INIT_FILES", "4"))
START = dt.datetime(2024, 1, 1)

COLUMNS = {
    "user": lambda rng, n: [f"u{v}" for v in rng.zipf(1.4, n) % 500],
    "code": lambda rng, n: rng.choice(rng.integers(0, 10**6, 30), n),
    "close": lambda rng, n: rng.integers(0, 9, n),
    "negative": lambda rng, n: rng.integers(-3, 4, n),
    "count": lambda rng, n: rng.geometric(0.1, n) ** 2,
    "price": lambda rng, n: np.round(rng.lognormal(2, 1, n), 2),
    "gaps": lambda rng, n: pa.array(rng.normal(size=n), mask=rng.random(n) < 0.5),
    "rare": lambda rng, n: [f"r{i}" if i in (1, n // 2) else None for i in range(n)],
    "constant": lambda rng, n: ["one"] * n,
    "nothing": lambda rng, n: pa.nulls(n, pa.string()),
    "name": lambda rng, n: [f"row {i} of {n}" for i in range(n)],
    "snowflake": lambda rng, n: 2**61 + rng.permutation(n),
    "huge": lambda rng, n: pa.array(
        [2**64 - 1 - int(v) for v in rng.integers(0, 9, n)], pa.uint64()
    ),
    "flag": lambda rng, n: rng.random(n) < 0.3,
    "money": lambda rng, n: [decimal.Decimal(int(v)) / 4 for v in rng.integers(0, 400, n)],
    "unix": lambda rng, n: 1_700_000_000 + rng.integers(0, 10**6, n),
    "millis": lambda rng, n: 1_700_000_000_000 + rng.integers(0, 10**9, n),
    "day": lambda rng, n: [f"2024-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(n)],
    "stamp": lambda rng, n: [START + dt.timedelta(minutes=int(i)) for i in range(n)],
    "text": lambda rng, n: [" ".join(f"w{v}" for v in rng.integers(0, 99, 8)) for _ in range(n)],
    "lines": lambda rng, n: [f"a\nb{v}" for v in rng.integers(0, 5, n)],
    "tags": lambda rng, n: [[f"t{v}" for v in rng.integers(0, 6, i % 4)] for i in range(n)],
    "seen": lambda rng, n: [[f"u{v}" for v in rng.integers(1, 9, i % 5)] for i in range(n)],
    "ids": lambda rng, n: [rng.integers(0, 50, i % 3).tolist() for i in range(n)],
    "vector": lambda rng, n: rng.normal(size=(n, 3)).tolist(),
    "ragged": lambda rng, n: [rng.normal(size=i % 3).tolist() for i in range(n)],
    "json": lambda rng, n: [f'{{"a": {v}}}' for v in rng.integers(0, 9, n)],
}
LABELS = {
    "0/1": lambda rng, n: rng.integers(0, 2, n),
    "words": lambda rng, n: np.array(["no", "yes"])[rng.integers(0, 2, n)],
    "bool": lambda rng, n: rng.random(n) < 0.5,
    "rating": lambda rng, n: rng.integers(1, 6, n),
    "gaps": lambda rng, n: [None if v == 2 else int(v) for v in rng.integers(0, 3, n)],
}
NAMES = ("{}", "My {}", "{}/x", "{}%", "Été {}", "城{}", "class", "{}.1", "__{}__", "{}: a # b")
FEATURES = ("categorical", "numeric", "list", "history", "vector")


@st.composite
def files(draw):
    seed = draw(st.integers(0, 2**31))
    rows = draw(st.sampled_from([3, 70, 150, 400, 1500]))
    kinds = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=6, unique=True))
    names = {kind: draw(st.sampled_from(NAMES)).format(kind) for kind in kinds}
    if list(names.values()).count("class") > 1:
        names = {kind: kind for kind in kinds}
    label = draw(st.sampled_from(sorted(LABELS)))
    rng = np.random.default_rng(seed)
    columns = {names[kind]: COLUMNS[kind](rng, rows) for kind in kinds}
    columns["target"] = LABELS[label](rng, rows)
    kind = draw(st.sampled_from(["parquet", ",", ";", "\t"]))
    return pa.table(columns), kind, draw(st.booleans()), draw(st.booleans())


def _write(folder, table, kind, header, index):
    if kind == "parquet":
        pq.write_table(table, folder / "rows.parquet")
        return "rows.parquet"
    decimal_mark = "," if kind == ";" else "."
    lines = []
    for number, row in enumerate(table.to_pylist()):
        cells = [_cell(value, decimal_mark) for value in row.values()]
        lines.append(kind.join([str(number)] * index + cells))
    if header:
        names = [f'"{name}"' if kind in name else name for name in table.column_names]
        lines.insert(0, kind.join([""] * index + names))
    (folder / "rows.txt").write_text("\n".join(lines) + "\n")
    return "rows.txt"


def _cell(value, mark):
    if isinstance(value, list):
        return "|".join(_cell(item, ".") for item in value)
    if isinstance(value, float | decimal.Decimal):
        return str(value).replace(".", mark)
    text = "" if value is None else str(value).replace("\n", " ")
    return '"' + text.replace('"', '""') + '"' if '"' in text else text


@hypothesis.settings(max_examples=FILES)
@hypothesis.given(files())
def test_what_init_writes_trains(tmp_path_factory, file):
    folder = tmp_path_factory.mktemp("init")
    table, kind, header, index = file
    before = os.getcwd()
    os.chdir(folder)
    try:
        name = _write(folder, table, kind, header, index)
        label = "target" if header or kind == "parquet" else f"column_{len(table.columns) + index}"
        code = main(["init", name, "--label", label, "--output", "rows.yaml", "--quiet"])
        if code == 4:  # no column can be a feature; nothing is written
            assert not (folder / "rows.yaml").exists()
            return
        assert code == 0
        text = (folder / "rows.yaml").read_text()
        faster = ["--set", "training.epochs=1", "--set", "training.batch_size=2048"]
        if "type: RankUp" in text:
            faster += ["--set", "model.num_blocks=1"]
        assert main(["train", "rows.yaml", "--json", *faster]) == 0, text
        assert json.loads((folder / "runs/rows/summary.json").read_text())["epochs"] == 1
    finally:
        os.chdir(before)


def test_decimal_commas_from_init_to_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"u{i % 7};{i},{i % 10}5;{i % 3 // 2}" for i in range(80)]
    (tmp_path / "a.csv").write_text("\n".join(["user;price;click", *lines]))
    assert main(["init", "a.csv", "--label", "click", "--output", "a.yaml", "--quiet"]) == 0
    assert "numeric, name: price" in (tmp_path / "a.yaml").read_text()
    faster = ["--set", "training.epochs=1", "--set", "training.batch_size=80"]
    assert main(["train", "a.yaml", "--json", *faster, "--set", "model.num_blocks=1"]) == 0
