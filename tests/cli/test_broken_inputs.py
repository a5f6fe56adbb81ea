"""Broken inputs: each gives a message that says where and what would help, and nothing else."""

import gzip
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from rankup_keras.cli import main

ROWS = [f"u{i % 7},{i % 5}.5,{i % 2}" for i in range(40)]
HEADER = "user,price,click"
CONFIG = """\
data:
  path: {path}
  split: {{train: 0.6, validation: 0.2, test: 0.2}}
  cache: {folder}/cache
tasks:
  - click
features:
  - {{type: categorical, name: user, dtype: string}}
  - {{type: numeric, name: price}}
model:
  type: DLRM
  embedding_dim: 2
training:
  batch_size: 16
run:
  folder: {folder}/run
"""


def _csv(lines=None, header=HEADER):
    return "".join(f"{line}\n" for line in ([header] if header else []) + (lines or ROWS)).encode()


def _table(**columns):
    whole = {
        "user": [f"u{i % 7}" for i in range(40)],
        "price": [float(i) for i in range(40)],
        "click": [i % 2 for i in range(40)],
    }
    return pa.table({**whole, **columns})


def _put(folder: pathlib.Path, name: str, data: bytes) -> pathlib.Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _parquet(folder, name="a.parquet", **columns):
    pq.write_table(_table(**columns), folder / name)
    return folder / name


def _truncated_parquet(folder):
    data = _parquet(folder).read_bytes()
    return _put(folder, "a.parquet", data[: len(data) // 2])


def _damaged_pages(folder):
    data = bytearray(_parquet(folder).read_bytes())
    data[8:200] = b"\xff" * 192
    return _put(folder, "a.parquet", bytes(data))


def _three_files(folder):
    for number in range(3):
        table = _table() if number < 2 else _table().drop_columns(["price"])
        pq.write_table(table, folder / f"{number}.parquet")
    return f"{folder}/*.parquet"


def _mixed_types(folder):
    _parquet(folder, "a.parquet")
    _parquet(folder, "b.parquet", user=list(range(40)))
    return f"{folder}/*.parquet"


def _mixed_formats(folder):
    _parquet(folder)
    _put(folder, "b.csv", _csv())
    return f"{folder}/*.*"


def _bad_record(folder):
    path = folder / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i in range(20):
            example = tf.train.Example()
            example.features.feature["user"].bytes_list.value.append(b"u")
            example.features.feature["price"].float_list.value.append(i)
            example.features.feature["click"].int64_list.value.append(i % 2)
            writer.write(example.SerializeToString())
    return _put(folder, "a.tfrecord", path.read_bytes()[:-7])


def _no_examples(folder):
    path = folder / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"\xff\xff no example")
    return path


# Name → (what makes the data, exit code, what the message must hold).
DATA = {
    "truncated Parquet": (_truncated_parquet, 3, ["a.parquet", "cut short", "copy it again"]),
    "damaged Parquet": (_damaged_pages, 3, ["a.parquet", "damaged", "copy it again"]),
    "Parquet that is CSV": (
        lambda f: _put(f, "a.parquet", _csv()), 3, ["not a Parquet file", "`format`"],
    ),
    "CSV that is Parquet": (
        lambda f: _put(f, "a.csv", _parquet(f).read_bytes()), 3, ["Parquet", "format: parquet"],
    ),
    "gzip cut": (
        lambda f: _put(f, "a.csv.gz", gzip.compress(_csv(ROWS * 3000))[:2000]),
        3, ["a.csv.gz", "cut short", "Copy it again"],
    ),
    "gzip that is none": (
        lambda f: _put(f, "a.csv.gz", _csv()), 3, ["ends in .gz", "not gzip"],
    ),
    "quote open": (
        lambda f: _put(f, "a.csv", _csv([*ROWS[:5], '"u1,2,1', *ROWS])),
        3, ["a.csv, line 7", "quote", "multiline"],
    ),
    "column missing in the third file": (
        _three_files, 2, ["2.parquet", "no column 'price'", "config.yaml:9"],
    ),
    "header twice": (
        lambda f: _put(f, "a.csv", _csv([*ROWS, HEADER, *ROWS])), 3, ["line 42", "header"],
    ),
    "no header": (
        lambda f: _put(f, "a.csv", _csv(header=None)), 2, ["no column", "config.yaml"],
    ),
    "UTF-16": (
        lambda f: _put(f, "a.csv", _csv().decode().encode("utf-16")), 3, ["UTF-16", "UTF-8"],
    ),
    "empty file": (lambda f: _put(f, "a.csv", b""), 3, ["a.csv", "empty"]),
    "empty Parquet file": (lambda f: _put(f, "a.parquet", b""), 3, ["a.parquet", "empty"]),
    "header only": (lambda f: _put(f, "a.csv", _csv([" "])[:17]), 3, ["no row"]),
    "label 2": (
        lambda f: _parquet(f, click=[i % 3 for i in range(40)]),
        3, ["a.parquet, line ", "'click'", "2 stands here", "0 or 1"],
    ),
    "label missing": (
        lambda f: _put(f, "a.csv", _csv([*ROWS, "u1,1,"])), 3, ["line 42", "'click'", "missing"],
    ),
    "label that is text": (
        lambda f: _put(f, "a.csv", _csv([*ROWS, "u1,1,yes"])), 3, ["line 42", "'yes'"],
    ),
    "number that is text": (
        lambda f: _put(f, "a.csv", _csv([*ROWS, "u1,cheap,1"])),
        3, ["line 42", "'price'", "'cheap'"],
    ),
    "line too long": (
        lambda f: _put(f, "a.csv", _csv([*ROWS, "u1,1,1,1"])),
        3, ["line 42", "4 values", "3 columns"],
    ),
    "last line cut": (
        lambda f: _put(f, "a.csv", _csv()[:-5]), 3, ["line 41", "2 values", "3 columns"],
    ),
    "column twice": (
        lambda f: _put(f, "a.csv", _csv(header="user,user,click")), 3, ["twice", "'user'"],
    ),
    "mixed types between files": (
        _mixed_types, 3, ["b.parquet", "'user'", "int64", "string", "a.parquet"],
    ),
    "mixed formats": (_mixed_formats, 3, ["one format", "csv", "parquet"]),
    "damaged record": (_bad_record, 3, ["a.tfrecord", "damaged or cut short"]),
    "records of something else": (_no_examples, 3, ["a.tfrecord, line 1", "tf.train.Example"]),
    "no such file": (
        lambda f: [_put(f, "clicks.csv", _csv()), f / "click.csv"][1],
        3, ["no such file", "'clicks.csv'"],
    ),
    "pattern without a match": (lambda f: f"{f}/*.parquet", 3, ["matches no file"]),
    "folder without data": (lambda f: f, 3, ["holds no file"]),
    "lists where one value stands": (
        lambda f: _parquet(f, user=[["a"]] * 40), 3, ["'user'", "lists", "max_length"],
    ),
    "dates as numbers": (
        lambda f: _parquet(f, price=pa.array([0] * 40, pa.timestamp("s"))),
        3, ["'price'", "timestamp", "float32"],
    ),
    "one user column without a value": (
        lambda f: _parquet(f, user=[None] * 40), 3, ["'user'", "vocabulary would be empty"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DATA)
def test_broken_data(tmp_path, capfd, name):
    make, code, words = DATA[name]
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "config.yaml").write_text(CONFIG.format(path=make(folder), folder=tmp_path))
    assert main(["train", str(tmp_path / "config.yaml"), "--quiet"]) == code
    _check_message(capfd, words)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == [
        "config.yaml", "data",
    ]  # fmt: skip
    assert not list(tmp_path.glob("cache/*"))


def _check_message(capfd, words):
    out, err = capfd.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert "Unexpected" not in err
    assert len(err.splitlines()) < 12
    for word in words:
        assert word in err


# Name → (text to replace, replacement, what the message must hold).
YAML = {
    "key misspelt": ("embedding_dim", "embeding_dim", ["config.yaml:12", "'embedding_dim'"]),
    "section misspelt": ("training:", "trainig:", ["config.yaml:13", "'training'"]),
    "two features of one name": (
        "name: price", "name: user", ["config.yaml:8", "config.yaml:9", "twice"],
    ),
    "no such type": ("numeric", "number", ["config.yaml:9", "'numeric'"]),
    "no such model": ("DLRM", "RankUpp", ["config.yaml:11", "'RankUp'"]),
    "negative length": (
        "dtype: string", "dtype: string, max_length: -1", ["config.yaml:8", "positive", "-1"],
    ),
    "text in place of a number": (
        "batch_size: 16", "batch_size: many", ["config.yaml:14", "'many'"],
    ),
    "column misspelt": ("name: price", "name: prise", ["config.yaml:9", "'price'"]),
    "label is a feature": ("- click", "- price", ["config.yaml:6", "feature as well"]),
    "no closing bracket": ("dtype: string}", "dtype: string", ["config.yaml:9", "not valid YAML"]),
    "a key twice": ("  type: DLRM", "  type: DLRM\n  type: DLRM", ["config.yaml:12", "YAML"]),
    "tabulator": ("  type: DLRM", "\ttype: DLRM", ["config.yaml:11", "YAML"]),
    "shares above 1": ("train: 0.6", "train: 0.9", ["config.yaml:3", "1.3"]),
    "no tasks": ("tasks:\n  - click\n", "", ["'tasks'", "missing"]),
}  # fmt: skip


@pytest.mark.parametrize("name", YAML)
def test_broken_configuration(tmp_path, capfd, name):
    old, new, words = YAML[name]
    path = _put(tmp_path, "a.csv", _csv())
    text = CONFIG.format(path=path, folder=tmp_path)
    assert text.count(old) >= 1
    (tmp_path / "config.yaml").write_text(text.replace(old, new, 1))
    assert main(["train", str(tmp_path / "config.yaml"), "--quiet"]) == 2
    _check_message(capfd, words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "config.yaml"]


def test_everything_wrong_is_told_at_once(tmp_path, capfd):
    text = CONFIG.format(path=_put(tmp_path, "a.csv", _csv()), folder=tmp_path)
    text = text.replace("type: numeric", "type: numerik").replace("DLRM", "DLMR")
    text = text.replace("batch_size: 16", "batch_sise: 16\n  epochs: 0")
    (tmp_path / "config.yaml").write_text(text)
    assert main(["train", str(tmp_path / "config.yaml")]) == 2
    err = capfd.readouterr().err
    lines = [line.split(":")[1] for line in err.splitlines() if "config.yaml" in line]
    assert lines == ["9", "11", "14", "15"]
    assert "4 problems" in err


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("model.token_dims=3", "--set model.token_dims=3"),
        ("model", "Write it as"),
        ("features.prize.normalize=log", "no item 'prize'"),
        ("features.price.normalize=logg", "'logg'"),
    ],
)
def test_broken_changes(tmp_path, capfd, change, word):
    text = CONFIG.format(path=_put(tmp_path, "a.csv", _csv()), folder=tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    assert main(["train", str(tmp_path / "config.yaml"), "--set", change]) == 2
    assert word in capfd.readouterr().err


def test_a_mark_before_utf8_is_no_harm(tmp_path, capfd):
    path = _put(tmp_path, "a.csv", b"\xef\xbb\xbf" + _csv())
    (tmp_path / "config.yaml").write_text(CONFIG.format(path=path, folder=tmp_path))
    assert main(["plan", str(tmp_path / "config.yaml"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["rows"] > 10


def test_wrong_usage(tmp_path, capfd):
    assert main(["trian"]) == 2
    assert main(["train", str(tmp_path / "none.yaml")]) == 2
    assert "no such file" in capfd.readouterr().err
