"""`rank` over one user's events, with and without the user-item mask, against full rows.

    python -m benchmarks.sequences_serving                       # 500 candidates, 1,000 events
    python -m benchmarks.sequences_serving --candidates 50 --events 100 --seconds 2

In the C++ session of the export. The calls take turns, so that all meet the same machine. FLOPs are
counted by `models.measure`: of all layers for a full row, of those of the candidate's part alone
for `rank`.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

import rankup_keras as rk
from benchmarks import measuring
from benchmarks.sequences_step import features, model_of, rows
from rankup_keras.serving import load_session
from rankup_keras.serving.exporting.rank_inputs import RankInputs


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--models", nargs="+", default=["mixformer", "hyformer"])
    options = parser.parse_args(arguments)

    results: list[dict[str, Any]] = []
    for name in options.models:
        found: dict[str, Any] = {"model": name, "candidates": options.candidates}
        found["events"] = options.events
        with tempfile.TemporaryDirectory() as folder:
            sessions, calls, flops = {}, {}, {}
            for masked in (False, True):
                own = features(options.events, items=10_000)
                model = model_of(name, own, user_item_mask=masked)
                inputs = RankInputs(own)
                sample = rows(options.candidates, options.events, items=10_000)
                path = rk.export(
                    model, f"{folder}/{name}_{masked}", signatures=["serving_default", "rank"]
                )
                session = sessions[masked] = load_session(path)
                once, full = inputs.user_once(sample), inputs.user_repeated(sample)
                kind = "masked rank" if masked else "rank"
                calls[kind] = lambda s=session, x=once: s.run(x, "rank")
                if masked:
                    calls["full rows"] = lambda s=session, x=full: s.run(x, "serving_default")
                    gap = np.abs(calls["masked rank"]()["click"] - calls["full rows"]()["click"])
                    found["largest_difference"] = float(gap.max())
                flops[kind] = rank_flops(model, inputs, options.candidates)
                flops["full rows"] = options.candidates * rk.models.measure(model).flops
            times = measuring.in_turns(calls, options.rounds, warm_up=2)
            found["milliseconds"] = {k: measuring.summary(v) for k, v in times.items()}
            found["flops"] = flops
            for session in sessions.values():
                session.close()
        print(json.dumps(found, indent=1), flush=True)
        results.append(found)
    measuring.record("sequences_serving", {"runs": results})
    return 0


def rank_flops(model: Any, inputs: RankInputs, candidates: int) -> int:
    """FLOPs of one request: layers of the user's part once, of the others per candidate.

    Attention whose events are one user's computes keys and values once, or per candidate in the
    order that is cheaper.
    """
    from rankup_keras.models.model_cost import measure
    from rankup_keras.models.user_part import UserPart, source_holds

    embedding = model.get_layer("embeddings")
    outputs = embedding.output if isinstance(embedding.output, list) else [embedding.output]
    spec = embedding.compute_output_spec(model.input["encoded_ids"])
    sources = {**dict(zip(sorted(spec), outputs, strict=True)), **model.input}
    holds = source_holds(model.features, sources, embedding)
    part = UserPart(inputs.user_fields, sources, holds)
    of_layer = {p.name: p.flops for p in measure(model).parts}
    total = 0
    for layer in model.layers:
        flops = of_layer.get(layer.name, 0)
        if not flops:
            continue
        if part.only(layer.output):
            total += flops
        elif getattr(layer, "one_user_inputs", False):
            total += shared_attention(layer, candidates)
        else:
            total += candidates * flops
    return total


def shared_attention(layer: Any, candidates: int) -> int:
    """FLOPs of attention of many candidates over one user's events."""
    queries, events = layer.input[0].shape, layer.input[1].shape
    count, width, length = queries[1], queries[2], events[1]
    if isinstance(layer, rk.layers.HeadAttention):
        projected = min(candidates, length) * width
        return 4 * count * width * (projected + candidates * length)
    inner = events[2]
    by_queries = candidates * count * (width * inner + layer.num_heads * inner * length)
    by_events = length * width * (inner + candidates * count)
    return 4 * candidates * count * width * width + 4 * min(by_queries, by_events)


if __name__ == "__main__":
    raise SystemExit(main())
