"""`rank` against full rows: bytes and latency of 500 candidates on MovieLens's features.

python benchmarks/serving.py                    # the development server, in its own process
python benchmarks/serving.py --address HOST:PORT --model NAME   # a server that runs already
python benchmarks/serving.py --json benchmarks/results/serving.json

Without --address a RankUp with random weights is exported, and served by `tensorflow_model_server`
where it is on PATH, else by the development server. The two requests take turns, so that both see
the same machine.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import rankup_keras as rk
from rankup_keras.datasets import movielens_100k, movielens_features
from rankup_keras.serving import load_session
from rankup_keras.serving.client import messages
from rankup_keras.serving.client.channels import open_channel
from rankup_keras.serving.exporting.rank_inputs import RankInputs

Columns = dict[str, np.ndarray]


def measure(calls: dict[str, Any], seconds: float) -> dict[str, dict[str, float]]:
    """Milliseconds of each call at the median and the 99th percentile, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(10):
            call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {
        name: {
            "p50_ms": float(np.percentile(values, 50)),
            "p99_ms": float(np.percentile(values, 99)),
            "calls": len(values),
        }
        for name, values in times.items()
    }


def serve(base: Path) -> tuple[subprocess.Popen, str]:
    """A server of the exported model in a process of its own, and its address."""
    command = [sys.executable, "-m", "rankup_keras.serving.server.serve", str(base), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", file=sys.stderr)
        if found := re.search(r"on (127\.0\.0\.1:\d+) ", line):
            return process, found.group(1)
    raise RuntimeError("the server ended before it was ready")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--address", help="of a server that serves the export already")
    parser.add_argument("--model", default="ranker")
    parser.add_argument("--source", help="MovieLens-100k's files; see movielens_100k")
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args()

    data = movielens_100k(source=options.source, verbose=False)
    features = movielens_features().adapt(data.train)
    model = rk.RankUp(features, ["like", "love"], token_dim=32)
    inputs = RankInputs(features)
    rows = {name: data.test.columns[name][: options.candidates] for name in inputs.spec}
    # The same question twice: a user's columns in every row, and once.
    full, once = inputs.user_repeated(rows), inputs.user_once(rows)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / options.model
        path = rk.serving.export(model, base, warmup=data.valid)
        process, address = None, options.address
        if address is None:
            process, address = serve(base)
        try:
            result = compare(address, options, path, full, once)
        finally:
            if process is not None:
                process.terminate()
                process.wait()
    result["model"] = {"class": "RankUp", "parameters": model.count_params()}
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def compare(
    address: str, options: argparse.Namespace, path: Path, full: Columns, once: Columns
) -> dict[str, Any]:
    """Bytes and latency of both requests, over gRPC and in the C++ session alone."""
    default, rank = "serving_default", "rank"
    requests = {
        default: messages.make_request("predict", full, options.model, default),
        rank: messages.make_request("predict", once, options.model, rank),
    }
    service = messages.serving_api("apis.prediction_service_pb2_grpc")
    with open_channel(address) as channel, load_session(path) as session:
        stub = service.PredictionServiceStub(channel)
        grpc = {
            name: (lambda request=request: stub.Predict(request, timeout=60))
            for name, request in requests.items()
        }
        answers = {name: messages.read_tensors(call().outputs) for name, call in grpc.items()}
        gap = max(np.abs(answers[default][t] - answers[rank][t]).max() for t in answers[rank])
        return {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "load_average": os.getloadavg()[0],
            "candidates": options.candidates,
            "largest_difference": float(gap),
            "request_bytes": {name: request.ByteSize() for name, request in requests.items()},
            "bytes_share": requests[rank].ByteSize() / requests[default].ByteSize(),
            "grpc": measure(grpc, options.seconds),
            "session": measure(
                {
                    default: lambda: session.run(full, default),
                    rank: lambda: session.run(once, rank),
                },
                options.seconds,
            ),
        }


if __name__ == "__main__":
    main()
