"""How the benchmarks measure: fresh processes, rounds in turns, one JSON file per question."""

import json
import os
import pathlib
import platform
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

RESULTS = pathlib.Path(__file__).parent / "results"
PACKAGES = ("tensorflow", "keras", "keras-rs", "numpy", "torch", "tensorflow-recommenders")


def machine() -> dict[str, Any]:
    """Processor, cores, memory, load, and versions of what is measured."""
    model = platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": model,
        **gpu(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "versions": versions,
    }


def gpu() -> dict[str, str]:
    """Name and driver of the first GPU, where there is one and it is not hidden."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return {}
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    name, driver = done.stdout.splitlines()[0].split(", ")
    return {"gpu": name, "driver": driver}


def on_gpu() -> bool:
    """Whether TensorFlow computes on a GPU; a machine's GPU that it does not see is refused."""
    import tensorflow as tf

    found = bool(tf.config.list_physical_devices("GPU"))
    if not found and (there := gpu()):
        raise SystemExit(
            f"TensorFlow does not see this machine's {there['gpu']}: pip install "
            "'tensorflow[and-cuda]'. With CUDA_VISIBLE_DEVICES=-1 the CPU is measured."
        )
    return found


def in_fresh_process(
    module: str,
    *arguments: str,
    environment: Mapping[str, str] = {},
    timeout: float | None = None,
) -> Any:
    """Runs a module in a process of its own and reads the JSON of its last line.

    Args:
        module: its name.
        arguments: of its command line.
        environment: variables besides this process's own.
        timeout: seconds; what it has started ends with it.
    """
    # TensorFlow would take all of a GPU's memory, and other libraries want some of it.
    variables = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", **os.environ, **environment}
    command, what = [sys.executable, "-m", module, *arguments], f"{module} {' '.join(arguments)}"
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException as error:
            # Of compilers that it has started, too, which would hold its output open.
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise SystemExit(f"{what} was stopped after {timeout:.0f} s") from None
    if process.returncode:
        raise SystemExit(f"{what} failed ({process.returncode}):\n{errors[-3000:]}")
    return json.loads(output.strip().splitlines()[-1])


def peak_mib() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def limit_threads(count: int | None) -> None:
    """Leaves cores to other processes; before TensorFlow does anything."""
    if count:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)


def in_turns(
    steps: Mapping[str, Callable[[], Any]], rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of every step in every round; the steps take turns, so that all meet one machine."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(warm_up + rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Median and spread, in milliseconds."""
    return {
        "median_ms": round(1e3 * statistics.median(seconds), 3),
        "best_ms": round(1e3 * min(seconds), 3),
        "worst_ms": round(1e3 * max(seconds), 3),
        "rounds": len(seconds),
    }


def record(name: str, results: Mapping[str, Any]) -> None:
    """Adds the figures to `results/<name>.json`, renewing its keys, and says where they are."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept.update(results)
    kept["machine"] = machine()
    path.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"Written: {path}")
