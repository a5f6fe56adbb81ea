"""What a served model goes through: many clients, an outage, swaps and labels, first calls.

    python -m benchmarks.serving_operation                     # all of it, about 4 minutes
    python -m benchmarks.serving_operation clients first       # parts of it
    python -m benchmarks.serving_operation outage --seconds 30 --deadline 60

- `clients`: 32 threads against the development server in a process of its own, with the thread
  limit that `ServerConfig(clients=32)` sets: refusals, p50, p99, requests per second.
- `outage`: calls of 8 threads while the server is away: how long after its return the last of
  them succeeds; then a call whose deadline is over before that.
- `swaps`: 10,000 requests of 8 threads through five swaps, a broken version, a promotion and a
  rollback: how many were lost.
- `first`: the first call of every signature, and of every single output, after a swap, over the
  median of later ones; and what a server does with `output_filter`, which `Client` does not send.
- `memory`: resident MiB of the process of server and clients: at first, after 20 requests of 50,000
  rows, after `--requests` small ones, after `--swaps` swaps, and the growth over each of the two.
- `half`: exports of one model in float32 and mixed_bfloat16: largest difference from the model's
  own scores, bytes, milliseconds of the session by rows.

Exits 1 where a request was lost or a bound of `BOUNDS` is missed. RankMixer of 8 tokens of 64.
"""

import argparse
import contextlib
import functools
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import rankup_keras as rk
from benchmarks.serving import serve
from rankup_keras.serving import Client, DevelopmentServer, ServerConfig, ServingError

FIELDS, TASKS = 8, ["click", "buy"]
# Seconds to the last success after a server's return; error of a deadline; first call by median;
# growth of resident memory.
BOUNDS = {"after_return": 2.0, "deadline_error": 0.2, "first_by_median": 3.0, "growth": 0.02}
Result = dict[str, Any]


def rows(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 10_000, (count, FIELDS)).astype("S8").astype(object)
    return {f"c{i}": words[:, i] for i in range(FIELDS)}


def export(base: Path, seed: int = 0, dtype: str | None = None, width: int = 64) -> Path:
    return rk.export(make_model(seed, dtype, width), base, warmup=rows(100), batch_sizes=(1, 10),
                     effective_rank={"": {}})  # fmt: skip


def make_model(seed: int = 0, dtype: str | None = None, width: int = 64) -> keras.Model:
    keras.utils.set_random_seed(seed)
    sides = ["user" if i < FIELDS // 2 else "candidate" for i in range(FIELDS)]
    features = rk.FeatureSet(
        [rk.Categorical(f"c{i}", hash_buckets=10_000, side=side) for i, side in enumerate(sides)]
    )
    return rk.RankMixer(
        features, TASKS, token_dim=width, num_tokens=FIELDS, num_blocks=2, dtype=dtype
    )


@contextlib.contextmanager
def asking(count: int, ask: Callable[[], None], requests: int | None = None) -> Iterator[Result]:
    """Threads that ask until the block ends, or until all requests were made."""
    found: Result = {"answered": 0, "lost": []}
    stopping, lock = threading.Event(), threading.Lock()

    def work() -> None:
        while not stopping.is_set():
            try:
                ask()
            except ServingError as error:
                with lock:
                    found["lost"].append(str(error))
                continue
            with lock:
                found["answered"] += 1
                found["last"] = time.monotonic()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield found
        while requests is not None and found["answered"] + len(found["lost"]) < requests:
            time.sleep(0.05)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def clients(base: Path, options: argparse.Namespace) -> Result:
    process, address = serve(base)
    try:
        config = ServerConfig(base, clients=32)
        found = rk.serving.load_test(
            address, base.name, ["rank", "serving_default"], 1600, 32, export=base / "1", timeout=60
        )
    finally:
        process.terminate()
        process.wait()
    lost = sum(sum(row["refused"].values()) for row in found)
    return {"threads": config.grpc_threads, "signatures": found, "missed": bool(lost)}


def outage(base: Path, options: argparse.Namespace) -> Result:
    server = DevelopmentServer(base, port=0).start()
    client = Client(server.address, base.name, timeout=options.deadline)
    one, delays, errors = rows(1), [], []

    def ask() -> None:
        try:
            client.predict(one)
        except ServingError as error:
            errors.append(str(error))
        delays.append(time.monotonic())

    client.predict(one)
    server.stop()
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(options.seconds)
    again = DevelopmentServer(base, port=server.port).start()
    back = time.monotonic()
    for thread in threads:
        thread.join()
    again.stop()
    start, deadline = time.monotonic(), min(options.deadline, 10.0)
    try:
        client.predict(one, timeout=deadline)
        told = "answered"
    except ServingError as error:
        told = str(error)
    off = time.monotonic() - start - deadline
    client.close()
    after = max(delays) - back
    return {
        "down_seconds": options.seconds,
        "errors": errors,
        "seconds_after_return": after,
        "deadline": deadline,
        "deadline_error_seconds": off,
        "told": told,
        "missed": bool(errors) or after > BOUNDS["after_return"]
        or abs(off) > BOUNDS["deadline_error"],
    }  # fmt: skip


def swaps(base: Path, options: argparse.Namespace) -> Result:
    one = rows(3)
    place = ServerConfig(base).write(base.parent / "serving")
    with (
        DevelopmentServer(base, port=0, poll_seconds=0.2) as server,
        Client(server.address, base.name, timeout=60, retries=0) as client,
        asking(8, lambda: client.predict(one) and None, options.requests) as found,
    ):
        for seed in range(1, 6):
            wanted = int(export(base, seed).name)
            while server.version != wanted:
                time.sleep(0.05)
        broken = base / str(wanted + 1)
        shutil.copytree(base / str(wanted), broken)
        (broken / "saved_model.pb").write_bytes(b"nonsense")
        while not server.failed:
            time.sleep(0.05)
        rk.serving.promote(place, {"stable": wanted - 1, "canary": wanted}, server.address)
        before = rk.serving.promote(place, {"stable": wanted}, server.address)
        rk.serving.promote(place, before, server.address)
    found.pop("last")
    return {**found, "lost": len(found["lost"]), "missed": bool(found["lost"])}


def first(base: Path, options: argparse.Namespace) -> Result:
    full = rows(10)
    user = {f"c{i}": full[f"c{i}"][0] for i in range(FIELDS // 2)}
    candidates = {name: column for name, column in full.items() if name not in user}
    with (
        DevelopmentServer(base, port=0, poll_seconds=0.2) as server,
        Client(server.address, base.name, timeout=60) as client,
    ):
        calls: dict[str, Callable[[], Any]] = {
            "serving_default": lambda: client.predict(full),
            "rank": lambda: client.rank(user, candidates),
            "embed": lambda: client.embed(full),
            "classify": lambda: client.classify(full),
            "regress": lambda: client.regress(full),
            "regress_buy": lambda: client.regress(full, "regress_buy"),
        }
        for task in TASKS:
            calls[f"serving_default, {task}"] = lambda task=task: client.predict(
                full, outputs=[task]
            )
            calls[f"rank, {task}"] = lambda task=task: client.rank(user, candidates, outputs=[task])
        for call in calls.values():
            call()
        wanted = int(export(base, 7).name)
        while server.version != wanted:
            time.sleep(0.05)
        time.sleep(1)
        firsts = {name: seconds(call) for name, call in calls.items()}
        medians = {
            name: float(np.median([seconds(call) for _ in range(200)]))
            for name, call in calls.items()
        }
        with rk.serving.load_session(base / str(wanted)) as session:
            session.run(full)
            filtered = seconds(lambda: session.run(full, outputs=["click"]))
            later = float(np.median([seconds(lambda: session.run(full, outputs=["click"]))
                                     for _ in range(50)]))  # fmt: skip
            whole = float(np.median([seconds(lambda: session.run(full)) for _ in range(50)]))
    shares = {name: firsts[name] / medians[name] for name in calls}
    return {
        "first_ms": {name: 1e3 * value for name, value in firsts.items()},
        "median_ms": {name: 1e3 * value for name, value in medians.items()},
        "first_by_median": shares,
        "output_filter_ms": {"first": 1e3 * filtered, "later": 1e3 * later, "all": 1e3 * whole},
        "missed": max(shares.values()) > BOUNDS["first_by_median"],
    }


def memory(base: Path, options: argparse.Namespace) -> Result:
    small, large, found = rows(3), rows(50_000), {}
    with (
        DevelopmentServer(base, port=0, poll_seconds=0.2) as server,
        Client(server.address, base.name, timeout=120) as client,
    ):

        def swap() -> None:
            version = max(rk.serving.versions(base)) + 1
            shutil.copytree(base / "1", base / "copy")
            os.rename(base / "copy", base / str(version))
            while server.version != version:
                time.sleep(0.05)
            client.predict(small)

        def after(step: str, count: int, ask: Callable[[], Any]) -> None:
            for _ in range(count):
                ask()
            found[step] = resident()

        after("at_first", 200, lambda: client.predict(small))
        after("large", 20, lambda: client.predict(large))
        # What every first time allocates is not growth.
        after("small_begun", 2000, lambda: client.predict(small))
        after("small", options.requests, lambda: client.predict(small))
        after("swaps_begun", 2, swap)
        after("swaps", options.swaps, swap)
    growth = {step: found[step] / found[f"{step}_begun"] - 1 for step in ("small", "swaps")}
    missed = max(growth.values()) > BOUNDS["growth"]
    return {"resident_mib": found, "growth": growth, "missed": missed}


def resident() -> int:
    """MiB; Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") // 2**20


def half(base: Path, options: argparse.Namespace) -> Result:
    found: Result = {"missed": False}
    sessions, full = {}, rows(1000)
    for dtype in ("float32", "mixed_bfloat16"):
        model = make_model(0, dtype, width=256)
        path = rk.export(model, base, warmup=rows(100), batch_sizes=(1,), effective_rank={"": {}})
        sessions[dtype] = rk.serving.load_session(path)
        outputs = model(model.features.encode(full), training=False)
        served = sessions[dtype].run(full)
        found[dtype] = {
            "largest_difference": max(
                float(np.abs(served[t] - np.asarray(outputs[t], np.float32)[:, 0]).max())
                for t in TASKS
            ),
            "bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        }
    for count in (1, 10, 100, 1000):
        few = {name: column[:count] for name, column in full.items()}
        times: dict[str, list[float]] = {dtype: [] for dtype in sessions}
        for _ in range(60):  # they take turns, so that both see the same machine
            for dtype, session in sessions.items():
                times[dtype].append(seconds(functools.partial(session.run, few)))
        for dtype, each in times.items():
            found[dtype][f"ms_at_{count}"] = 1e3 * float(np.median(each[10:]))
    for session in sessions.values():
        session.close()
    return found


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


PARTS = {
    "clients": clients,
    "outage": outage,
    "swaps": swaps,
    "first": first,
    "memory": memory,
    "half": half,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {list(PARTS)}")
    parser.add_argument("--seconds", type=float, default=30, help="of the outage")
    parser.add_argument("--deadline", type=float, default=60, help="of calls during the outage")
    parser.add_argument("--requests", type=int, default=10_000, help="of `swaps` and `memory`")
    parser.add_argument("--swaps", type=int, default=20, help="of `memory`")
    options = parser.parse_args()
    result: Result = {"cores": os.cpu_count(), "load_average": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.parts:
            base = Path(folder) / name
            export(base)
            result[name] = PARTS[name](base, options)
    print(json.dumps(result, indent=2))
    return int(any(part["missed"] for part in result.values() if isinstance(part, dict)))


if __name__ == "__main__":
    sys.exit(main())
