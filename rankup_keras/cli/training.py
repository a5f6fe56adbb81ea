"""`rankup-keras train`: from a configuration to a run folder."""

import contextlib
import io
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
from ruamel.yaml import YAML

import rankup_keras as rk
from rankup_keras.callbacks.resume import Resume
from rankup_keras.cli import build, scoring
from rankup_keras.cli.callbacks import MetricsLog
from rankup_keras.cli.output import Output
from rankup_keras.cli.problems import RunError
from rankup_keras.cli.run_files import RunFiles, write_json, write_text
from rankup_keras.cli.settings import Config
from rankup_keras.cli.yaml_file import YamlFile
from rankup_keras.data.adapt_from_files import adapt
from rankup_keras.data.bad_rows import BadRows
from rankup_keras.data.files import Files
from rankup_keras.data.statistics import Statistics, scan
from rankup_keras.training.resume_store import CheckpointStore

# What may change between a training and its going on.
_FREE = (
    "training.epochs",
    "training.checkpoint_every",
    "data.cache",
    "export",
    "run",
)


class Training:
    """A run: data looked through and learned from, a model trained, tested and kept.

    Args:
        config: the checked configuration.
        file: the file that it is from.
        out: where to say what happens.
    """

    def __init__(self, config: Config, file: YamlFile, out: Output) -> None:
        self.config = config
        self.file = file
        self.out = out
        self.bad_rows = BadRows(config.data.bad_rows.policy, config.data.bad_rows.limit)
        self.features = build.feature_set(config)
        parts = [part for part in build.PARTS if build.has_part(config, part)]
        # All parts are opened before anything is written: a column that is missing from the test
        # rows is found now.
        self.files: dict[str, Files] = {
            part: build.open_files(config, file, self.features, part, self.bad_rows)
            for part in parts
        }

    def learn(self) -> Statistics:
        """Looks through all rows; features learn from those to train on."""
        out = self.out
        out.say(f"Reading {self.files['train']!r} to learn vocabularies and statistics")
        begun = time.perf_counter()
        cache = self.config.data.cache
        found = adapt(self.features, self.files["train"], None if cache is None else Path(cache))
        out.say(
            f"{found.rows:,} rows to train on, "
            + ", ".join(f"{100 * rate:.2f} % {name}" for name, rate in found.labels.items())
            + f" ({time.perf_counter() - begun:.1f} s)"
        )
        for part in ("validation", "test"):
            if part in self.files:
                rows = scan(self.files[part]).rows
                out.say(f"{rows:,} rows for {part}")
        if self.bad_rows.count:
            out.say(f"{self.bad_rows.count:,} bad rows were left out, see bad_rows.jsonl")
        return found

    def run(self, folder: Path, resume: bool, overwrite: bool) -> dict[str, Any]:
        """Trains, and returns the summary."""
        run = RunFiles(folder)
        config = self.config
        prepare(run, config, resume, overwrite)
        self.bad_rows.path = run.bad_rows
        if resume:
            self.bad_rows.take_up()
        else:
            run.bad_rows.unlink(missing_ok=True)
        found = self.learn()
        folder.mkdir(parents=True, exist_ok=True)
        logger = run.start_log()
        found.write(folder)
        write_text(run.config, yaml_text(config))
        keras.utils.set_random_seed(config.training.seed)
        model = build.make_model(config, self.file, self.features)
        build.compile_model(config, model)
        self.out.say(f"{model.name}: {model.count_params():,} parameters")
        logger.info("%s, %d parameters, %d rows", model.name, model.count_params(), found.rows)
        begun = time.perf_counter()
        self._fit(model, run, logger)
        seconds = time.perf_counter() - begun
        stopping = config.training.early_stopping
        if stopping is not None and run.best.is_file():
            model = keras.saving.load_model(run.best, compile=False)
        partial = folder / ".partial.keras"
        model.save(partial)
        partial.replace(run.model)
        summary: dict[str, Any] = {
            "run": str(folder),
            "model": model.name,
            "parameters": int(model.count_params()),
            "rows": found.rows,
            "bad_rows": self.bad_rows.count,
            "epochs": len(run.history()),
            "seconds": round(seconds, 1),
        }
        for part in ("validation", "test"):
            if part in self.files:
                self.out.say(f"Evaluating on the rows for {part}")
                summary[part] = evaluate_part(config, self.file, model, part, self.bad_rows)[1]
        write_json(run.summary, summary)
        logger.info("done in %.1f s", seconds)
        return summary

    def _fit(self, model: Any, run: RunFiles, logger: Any) -> None:
        training = self.config.training
        train = self.files["train"].dataset(
            training.batch_size,
            shuffle=True,
            seed=training.seed,
            shuffle_rows=self.config.data.shuffle_rows,
            encoded=True,
        )
        valid = None
        if "validation" in self.files:
            valid = self.files["validation"].dataset(max(training.batch_size, 4096), encoded=True)
        callbacks: list[Any] = []
        ranks = None
        if training.rank_log and hasattr(rk, "callbacks"):
            probe = self.files["validation" if valid is not None else "train"]
            ranks = rk.callbacks.EffectiveRank(
                probe.dataset(training.rank_rows).take(1),
                probe_samples=training.rank_rows,
                path=run.ranks,
            )
            callbacks.append(ranks)
        callbacks.append(MetricsLog(run.metrics, logger))
        stopping = training.early_stopping
        if stopping is not None:
            watched = {"monitor": stopping.monitor, "mode": stopping.mode}
            callbacks += [
                keras.callbacks.ModelCheckpoint(str(run.best), save_best_only=True, **watched),
                keras.callbacks.EarlyStopping(patience=stopping.patience, **watched),
            ]
        resume = Resume(run.checkpoints, callbacks, every=training.checkpoint_every or "epoch")
        with warnings_to_log(logger, self.out):
            model.fit(
                train,
                validation_data=valid,
                epochs=training.epochs,
                verbose=self.out.verbose,
                callbacks=[resume],
            )
        if ranks is not None and ranks.measured:
            ranks.report(run.report)
            logger.info("effective rank, share of the ceiling\n%s", ranks.table())


def prepare(run: RunFiles, config: Config, resume: bool, overwrite: bool) -> None:
    """Sees to it that the folder is free, or holds the run that is to go on.

    Raises:
        RunError: another run is there, or none to resume.
    """
    there = run.config.exists() or run.metrics.exists()
    if resume:
        if not there:
            raise RunError(
                f"There is nothing to resume in {run.folder}: it holds no run. Train without "
                "--resume."
            )
        changed = _differences(run.written_config(), config.model_dump(mode="json"))
        if changed:
            raise RunError(
                f"{run.folder} was trained with other settings: {'; '.join(changed)}. Resume it "
                "with its own, or train anew in another folder with --run."
            )
        if not CheckpointStore(run.checkpoints).numbers():
            # Killed before its first checkpoint: what it logged belongs to no training.
            run.clear()
        return
    if there:
        if not overwrite:
            raise RunError(
                f"{run.folder} holds a run already. Give another folder with --run, go on with "
                "--resume, or replace it with --overwrite."
            )
        run.clear()


def _differences(before: Any, now: Any, at: str = "") -> list[str]:
    """Settings that count for what a training gives, and that are no longer as they were."""
    if at in _FREE:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        parts = [
            _differences(before.get(key), now.get(key), f"{at}.{key}" if at else key)
            for key in keys
        ]
        return [text for part in parts for text in part]
    return [] if before == now else [f"{at} was {before!r} and is {now!r}"]


def yaml_text(config: Config) -> str:
    """The whole configuration, defaults included."""
    text = io.StringIO()
    YAML().dump(config.model_dump(mode="json"), text)
    return text.getvalue()


def evaluate_part(
    config: Config, file: YamlFile, model: Any, part: str, bad_rows: BadRows | None = None
) -> tuple[int, dict[str, dict[str, float]]]:
    """Exact metrics on the rows of a part, with types as the trained features know them."""
    group = config.training.gauc_by
    if bad_rows is None:
        bad_rows = BadRows(config.data.bad_rows.policy, config.data.bad_rows.limit)
    extra = [] if group is None else [group]
    files = build.open_files(config, file, model.features, part, bad_rows, extra)
    return scoring.evaluate(model, files, max(config.training.batch_size, 4096), group)


@contextlib.contextmanager
def warnings_to_log(logger: Any, out: Output) -> Iterator[None]:
    """Python warnings as lines of the log and of the progress."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            text = " ".join(str(warning.message).split())
            logger.info("warning: %s", text)
            out.say(f"Warning: {text}")
