"""Whether a new version may be served: it is compared with the one that is."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.cli.failures import RunError
from rankup_keras.cli.scoring import Scored
from rankup_keras.cli.settings import Gate
from rankup_keras.data.files import Files
from rankup_keras.serving.exporting.sample_rows import first_rows
from rankup_keras.serving.exporting.session import SavedModelSession, load_session

SIGNATURE = "serving_default"
TIMED_CALLS = 30

Metrics = Mapping[str, Mapping[str, float]]


def problems(gate: Gate, served: Metrics, new: Metrics) -> Iterator[str]:
    """Why the metrics of a new version are not good enough, a sentence each."""
    for task, values in new.items():
        before = served[task]
        yield from _worse(f"AUC of {task!r}", before["auc"], values["auc"], gate.auc, -1)
        yield from _worse(f"NE of {task!r}", before["ne"], values["ne"], gate.ne, 1)
        was, now = (abs(each["calibration"] - 1) for each in (before, values))
        what = f"Distance of calibration from 1 of {task!r}"
        yield from _worse(what, was, now, gate.calibration, 1)


def _worse(
    what: str, before: float, now: float, allowed: float | None, direction: int
) -> Iterator[str]:
    # `not <=` rather than `>`, so that NaN is refused; of rows of one class both have none.
    if allowed is None or np.isnan(before):
        return
    if not direction * (now - before) <= allowed:
        limit = before + direction * allowed
        bound = "below" if direction < 0 else "above"
        yield f"{what} is {now:.4f}, {before:.4f} of the one served: {bound} {limit:.4f}"


def rank_problems(gate: Gate, served: Mapping[str, float], new: Mapping[str, float]) -> list[str]:
    """Layers whose effective rank has fallen too far."""
    if gate.effective_rank is None:
        return []
    least = {layer: rank * (1 - gate.effective_rank) for layer, rank in served.items()}
    return [
        f"Effective rank of {layer!r} is {rank:.2f}, {served[layer]:.2f} of the one served: "
        f"below {least[layer]:.2f}"
        for layer, rank in new.items()
        if layer in served and not rank >= least[layer]
    ]


def latency_problems(gate: Gate, served: float, new: float) -> list[str]:
    """Whether a call takes too long, both in milliseconds."""
    if gate.latency is None or new <= served * gate.latency:
        return []
    return [
        f"Latency is {new:.2f} ms, {served:.2f} ms of the one served: above {gate.latency:g} times"
    ]


def scores_of_export(path: Path, files: Files, batch_size: int) -> Scored:
    """What a version answers to the rows of files, as `scoring.score` gives a model's answers.

    Raises:
        RunError: the version is of a model with other columns or tasks.
    """
    with load_session(path) as session:
        wanted = session.signature(SIGNATURE)
        columns = {target.name for target in files.targets if target.role == "feature"}
        tasks = {target.name for target in files.targets if target.role == "label"}
        if not (wanted.inputs.keys() <= columns and tasks <= wanted.outputs.keys()):
            raise RunError(
                f"{path} cannot be compared with, since it is of another model: it reads "
                f"{sorted(wanted.inputs)} and answers {sorted(wanted.outputs)}. Let this run have "
                "an export path of its own, `export.path`."
            )
        for table in files.tables(batch_size):
            packed = files.packer.pack(table)
            item = files.arrange({name: tf.constant(value) for name, value in packed.items()})
            raw = item[0] if isinstance(item, tuple) else item
            scores = session.run(_requests(session, raw, table.num_rows))
            yield table, {task: value.reshape(-1) for task, value in scores.items()}


def _requests(session: SavedModelSession, columns: Any, rows: int) -> Any:
    return first_rows(columns, session.signature(SIGNATURE).inputs, rows)


def latencies(paths: list[Path], rows: Any) -> list[float]:
    """Milliseconds of the quickest of some calls to each version, in turn, with the same rows."""
    sessions = [load_session(path) for path in paths]
    try:
        requests = [_requests(session, rows, 1 << 31) for session in sessions]
        times: list[list[float]] = [[] for _ in paths]
        for _ in range(TIMED_CALLS):
            for session, request, taken in zip(sessions, requests, times, strict=True):
                begun = time.perf_counter()
                session.run(request)
                taken.append(1e3 * (time.perf_counter() - begun))
        return [min(taken) for taken in times]
    finally:
        for session in sessions:
            session.close()
