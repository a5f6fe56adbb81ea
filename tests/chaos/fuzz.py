"""Mutated files and requests: no crash, no hang, no growth, no blame of the package."""

import contextlib
import io
import logging
import os
import pathlib
import time

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from rankup_keras.cli import main
from tests.helpers.cli_inputs import CONFIG, ROWS, csv

SECONDS, BYTES = 5.0, 1 << 30
CODES = (0, 2, 3, 4)
_PIECES = [
    b"",
    b"\0",
    b"\xff" * 8,
    b"\n",
    b",",
    b'"',
    b"[" * 200,
    b"*a",
    b"&a ",
    b"!!python/x ",
    b"9" * 400,
]
_PIECES += [
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b": ",
    b"- " * 99,
    "é".encode(),
]


def mutated(data: bytes, random) -> bytes:
    """Some bytes changed, cut out, repeated, or put in."""
    for _ in range(random.choice([1, 1, 2, 4, 16])):
        at = random.randrange(len(data) + 1)
        end = min(len(data), at + random.choice([0, 1, 4, 64, 1000]))
        kind = random.randrange(5)
        if kind == 0:
            data = data[:at] + random.choice(_PIECES) + data[end:]
        elif kind == 1:
            data = data[:at] + random.randbytes(end - at) + data[end:]
        elif kind == 2:
            data = data[:at] + data[at:end] * random.choice([2, 50]) + data[end:]
        elif kind == 3:
            data = data[:at] if at else data
        else:
            data = data[:at] + data[end:]
    return data


def originals(folder: pathlib.Path) -> dict[str, bytes]:
    """A good file of each kind, by its name."""
    rows = [line.split(",") for line in ROWS]
    table = pa.table(
        {"user": [r[0] for r in rows], "price": [float(r[1]) for r in rows],
         "click": [int(r[2]) for r in rows]}
    )  # fmt: skip
    pq.write_table(table, folder / "original", row_group_size=16)
    parquet = (folder / "original").read_bytes()
    with tf.io.TFRecordWriter(str(folder / "original")) as writer:
        for user, price, click in rows:
            example = tf.train.Example()
            example.features.feature["user"].bytes_list.value.append(user.encode())
            example.features.feature["price"].float_list.value.append(float(price))
            example.features.feature["click"].int64_list.value.append(int(click))
            writer.write(example.SerializeToString())
    record = (folder / "original").read_bytes()
    config = CONFIG.format(path=folder / "rows.csv", folder=folder).encode()
    return {"a.yaml": config, "a.csv": csv(), "a.parquet": parquet, "a.tfrecord": record}


def files(folder: pathlib.Path, random, count: int, seconds: float = SECONDS) -> str:
    """`rankup-keras plan` on mutated files, in this process."""
    (folder / "rows.csv").write_bytes(csv())
    kinds = originals(folder)
    process, codes, slowest, begun = psutil.Process(), dict.fromkeys(CODES, 0), 0.0, None
    for number in range(count):
        name = random.choice(sorted(kinds))
        path = folder / name
        path.write_bytes(mutated(kinds[name], random))
        yaml = path if name == "a.yaml" else folder / "config.yaml"
        if yaml is not path:
            yaml.write_text(CONFIG.format(path=path, folder=folder))
        out, start = io.StringIO(), time.monotonic()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = main(["plan", str(yaml), "--json", "--set", "data.cache=null"])
        spent = time.monotonic() - start
        text = out.getvalue()
        told = f"file {number}, {name}, {code}: {text[:2000]}"
        assert code in CODES, told
        assert "bug in rankup-keras" not in text, told
        assert "Traceback" not in text, told
        assert spent < seconds, f"{spent:.1f} s for {told}"
        codes[code] += 1
        begun = begun or process.memory_info().rss
        slowest = max(slowest, spent)
        assert process.memory_info().rss - begun < BYTES, told
    grown = (process.memory_info().rss - (begun or 0)) / 1e6
    return f"{count} files, exit codes {codes}, slowest {slowest:.2f} s, {grown:.0f} MB more"


def requests(base: os.PathLike, random, count: int, seconds: float = SECONDS) -> str:
    """Mutated requests to the development server."""
    import grpc
    from tensorflow_serving.apis import predict_pb2

    logging.getLogger("grpc._common").setLevel(logging.CRITICAL)  # a traceback for each of them

    from rankup_keras.serving import DevelopmentServer

    good = predict_pb2.PredictRequest()
    good.model_spec.name = "m"
    for name, values in {"user": ["u1", "u2"], "item": ["i1", "i2"], "price": [1.0, 2.0]}.items():
        array = np.array(values, np.float32 if name == "price" else object)
        good.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    data, process, slowest = good.SerializeToString(), psutil.Process(), 0.0
    told: dict[str, int] = {}
    with (
        DevelopmentServer(base, name="m", port=0) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        send = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        whole = send(data, timeout=60)
        begun = process.memory_info().rss
        for _ in range(count):
            start = time.monotonic()
            # A call that is answered with an error raises nothing until its answer is read.
            call = send.future(mutated(data, random), timeout=4 * seconds)
            status, details = call.code().name, str(call.details())
            slowest = max(slowest, time.monotonic() - start)
            told[status] = told.get(status, 0) + 1
            assert status != "DEADLINE_EXCEEDED", details
            assert "Traceback" not in details, details
            assert process.memory_info().rss - begun < BYTES, details
        assert slowest < seconds, slowest
        assert send(data, timeout=60) == whole, "the server answers otherwise than before"
    grown = (process.memory_info().rss - begun) / 1e6
    return f"{count} requests, {told}, slowest {slowest:.2f} s, {grown:.0f} MB more"
