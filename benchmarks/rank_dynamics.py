"""What depth does to the rank: mixer and FFN, block by block, trained and untrained.

    python -m benchmarks.rank_dynamics --seeds 3
    python -m benchmarks.rank_dynamics --seeds 1 --datasets frappe --depths 8 --models rankup
    python -m benchmarks.rank_dynamics --only-report

Models of equal token width at depth 2, 4 and 8, and RankUp at the largest depth without each of its
components. Every run adds a line to `benchmarks/results/rank_dynamics.jsonl`, and those that are
there already are not made again. The tables and the plots are drawn from that file.
"""

import argparse
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import rankup_keras as rk
from benchmarks import measuring, quality
from benchmarks.quality_data import Problem, problem
from benchmarks.quality_models import CONTENDERS, EMBEDDING_DIM, RECIPE, TOKENS
from benchmarks.rank_dynamics_report import draw, tables
from benchmarks.study import Run, Study

RESULTS = measuring.RESULTS / "rank_dynamics.jsonl"
DOCS = pathlib.Path(__file__).parents[1] / "docs"
MODELS = ("rankup", "rankmixer", "rankelastor_paper", "rankelastor_code")
WITHOUT = (
    "rankup_slices",
    "rankup_one_table_set",
    "rankup_no_global",
    "rankup_no_task_token",
    "rankup_gelu",
    "rankup_no_token_norm",
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ... of split and weights")
    parser.add_argument("--datasets", type=_words, default=["frappe", "movielens"])
    parser.add_argument("--depths", type=lambda text: [int(d) for d in _words(text)])
    parser.add_argument("--models", type=_words, default=[*MODELS, *WITHOUT])
    parser.add_argument("--epochs", type=int, default=quality.EPOCHS, help="at most this many")
    parser.add_argument("--threads", type=int, help="cores, so that several studies can share them")
    parser.add_argument("--data", type=pathlib.Path, help="folder of the Parquet files")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--docs", type=pathlib.Path, default=DOCS)
    parser.add_argument("--only-report", action="store_true", help="train nothing")
    options = parser.parse_args(arguments)
    depths = options.depths or [2, 4, 8]
    measuring.limit_threads(options.threads)
    study = Study(options.results)
    for seed in range(options.seeds if not options.only_report else 0):
        for dataset in options.datasets:
            load = functools.cache(functools.partial(problem, dataset, seed, options.data))
            for depth in depths:
                for name in options.models:
                    if name not in MODELS and depth != max(depths):
                        continue
                    key = {"dataset": dataset, "model": name, "depth": depth, "seed": seed}
                    key["settings"] = {**_equal_width(name), "num_blocks": depth}
                    key["recipe"] = {**RECIPE, "epochs": options.epochs}
                    study.run(key, lambda key, load=load: _run(key, load()))
    runs = study.runs
    text = tables(runs)
    options.results.with_suffix(".md").write_text(text)
    draw(runs, options.docs / "images")
    print(text)
    return 0


def _words(text: str) -> list[str]:
    return text.split(",")


def _equal_width(name: str) -> dict[str, Any]:
    """Settings with the token width of all, and embeddings as wide as RankUp's together."""
    contender, base = CONTENDERS[name], CONTENDERS["rankup"]
    shared = {k: RECIPE[k] for k in ("dropout", "embedding_dropout")}
    width = EMBEDDING_DIM * base.tables // contender.tables
    return {**contender.settings, "token_dim": TOKENS["token_dim"], "embedding_dim": width} | shared


def _run(key: Run, data: Problem) -> Run:
    model = quality.build(key["model"], key["settings"], key["seed"], data)
    untrained = _profile(model, data)
    found = quality.fit(model, data, key["seed"], key["recipe"])
    run = {
        **quality.test(model, data),
        **found,
        "dense_parameters": rk.models.measure(model).dense_parameters,
        "untrained": untrained,
        "trained": _profile(model, data),
    }
    last = list(run["trained"].values())[-1]
    print(
        f"{key['dataset']} {key['model']} depth {key['depth']} seed {key['seed']}: "
        f"AUC {run['auc']:.4f}, last rank {last['rank'] / last['ceiling']:.3f}",
        flush=True,
    )
    return run


def _profile(model: Any, data: Problem) -> dict[str, dict[str, float]]:
    """By layer, both views of the effective rank with their ceilings, and the stable rank."""
    rows = {name: values[:512] for name, values in data.valid.rows.items()}
    profile = rk.diagnostics.rank_profile(model, rows, samples=512, table_rows=0)
    return {
        name: {
            "rank": ranks.mean,
            "ceiling": ranks.ceiling,
            "stable": ranks.stable,
            "token_rank": ranks.token_mean,
            "token_ceiling": ranks.token_ceiling,
            "cosine": ranks.cosine,
        }
        for name, ranks in profile.layers.items()
        if not ranks.branch
    }


if __name__ == "__main__":
    raise SystemExit(main())
