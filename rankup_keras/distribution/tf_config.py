"""Reads and checks `TF_CONFIG`, by which the workers of a job find each other."""

import dataclasses
import json
import os
import re

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes of a job, and which of them this one is.

    Attributes:
        addresses: `host:port` of every process that trains, the chief first.
        task: this process, such as `"worker 1"`.
        place: index of this process among `addresses`.
        jobs: the kinds of processes and how many there are of each, the
            chief's first.
    """

    addresses: tuple[str, ...]
    task: str
    place: int
    jobs: tuple[tuple[str, int], ...]


def read_cluster() -> Cluster | None:
    """The cluster that `TF_CONFIG` describes, or `None` where it is not set.

    Raises:
        ValueError: `TF_CONFIG` does not describe one.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"is not JSON ({error})") from None
    if not isinstance(config, dict):
        raise _wrong("is not a JSON object")
    jobs = config.get("cluster")
    if not jobs:
        return None
    if not isinstance(jobs, dict):
        raise _wrong("has a `cluster` that is not an object of lists of addresses")
    unknown = sorted(set(jobs) - {"chief", "worker", "evaluator", "ps"})
    if unknown:
        raise _wrong(f"names the job {unknown[0]!r}; a cluster has a chief and workers")
    if "ps" in jobs:
        raise _wrong(
            "has parameter servers ('ps'), which Keras's `fit` does not support; make all of them "
            "workers"
        )
    for job, addresses in jobs.items():
        if not isinstance(addresses, list) or not all(map(_is_address, addresses)) or not addresses:
            raise _wrong(f"must list the addresses of '{job}' as 'host:port'")
    task = config.get("task")
    if not isinstance(task, dict) or "type" not in task or "index" not in task:
        raise _wrong("has no `task` with a `type` and an `index`: which process is this one?")
    kind, index = task["type"], task["index"]
    if not isinstance(kind, str) or kind not in jobs:
        raise _wrong(f"says that this is a {kind!r}, but the cluster has {sorted(jobs)}")
    if kind == "evaluator":
        raise _wrong("says that this is an evaluator, which `fit` has none of; make it a worker")
    if len(jobs.get("chief", ())) > 1:
        raise _wrong("has more than one chief")
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(jobs[kind]):
        raise _wrong(
            f"says that this is {kind} {index!r}, but the cluster has {len(jobs[kind])} of them, "
            "counted from 0"
        )
    training = [job for job in ("chief", "worker") if job in jobs]
    every = [address for job in training for address in jobs[job]]
    repeated = sorted({address for address in every if every.count(address) > 1})
    if repeated:
        raise _wrong(f"gives the address {repeated[0]} to two processes")
    return Cluster(
        tuple(every),
        f"{kind} {index}",
        index + (len(jobs["chief"]) if kind == "worker" and "chief" in jobs else 0),
        tuple((job, len(jobs[job])) for job in training),
    )


def _is_address(value: object) -> bool:
    found = re.fullmatch(r".+:(\d{1,5})", value, re.ASCII) if isinstance(value, str) else None
    return found is not None and 0 < int(found[1]) < 65536


def _wrong(what: str) -> ValueError:
    return ValueError(
        f"The environment variable TF_CONFIG {what}. An example: {EXAMPLE}. "
        f"Received: TF_CONFIG={os.environ.get(VARIABLE, '')[:300]}"
    )
