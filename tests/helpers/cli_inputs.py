"""A small configuration for the command, its rows, and what a message must look like."""

import pathlib

import numpy as np
import pyarrow as pa

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


def csv(lines=None, header=HEADER):
    return "".join(f"{line}\n" for line in ([header] if header else []) + (lines or ROWS)).encode()


def put(folder: pathlib.Path, name: str, data: bytes) -> pathlib.Path:
    path = folder / name
    path.write_bytes(data)
    return path


def check_message(capfd, words):
    out, err = capfd.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert "Unexpected" not in err
    assert len(err.splitlines()) < 12
    for word in words:
        assert word in err


def click_table(rows=400):
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 12, rows), rng.integers(0, 30, rows)
    return pa.table(
        {
            "user_id": [f"u{v}" for v in user],
            "item_id": item,
            "price": pa.array(rng.lognormal(1, 1, rows), mask=rng.random(rows) < 0.1),
            "tags": [[f"t{v}" for v in rng.integers(0, 5, n)] for n in rng.integers(0, 3, rows)],
            "label_click": (rng.random(rows) < 0.1 + 0.8 * (item % 2)).astype(np.int8),
            "split": [
                ("train", "valid", "test")[0 if i % 5 < 3 else i % 5 - 2] for i in range(rows)
            ],
        }
    )
