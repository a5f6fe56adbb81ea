"""`rankup-keras update`: from yesterday's run and a day's rows to the next version served."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import pyarrow.parquet as pq

import rankup_keras as rk
from rankup_keras import durable
from rankup_keras.cli import scoring, update_gate
from rankup_keras.cli.failures import RunError
from rankup_keras.cli.output import json_text
from rankup_keras.cli.project import Project
from rankup_keras.cli.run_folder import load_model
from rankup_keras.cli.run_report import write_day_report
from rankup_keras.cli.training import differing
from rankup_keras.cli.update_folder import UpdateFolder
from rankup_keras.cli.update_series import Series
from rankup_keras.data.data_error import DataError
from rankup_keras.data.files import Files
from rankup_keras.data.row_filters import Share
from rankup_keras.data.statistics import scan

# What may differ from the training; all else yesterday's model has from there.
_FREE = (
    "data", "export", "update", "run",
    *(f"training.{name}" for name in (
        "batch_size", "epochs", "seed", "gauc_by", "calibration_by", "early_stopping",
        "fresh_tables", "checkpoint_every", "rank_log", "rank_rows",
    )),
)  # fmt: skip
_RULES = ("min_count", "decay", "evict_after", "evict_below", "moments_window", "fixed", "new_rows")


def update(project: Project, data: Sequence[str], day: str | None = None) -> dict[str, Any]:
    """Goes on with a day's rows. Returns the day's line of the series.

    Args:
        project: the run, and the settings of the update.
        data: files of the day's rows.
        day: its number, or a date. Defaults to the one after the last.
    """
    run = project.run
    if not run.model.is_file():
        run.load_model()  # which says what to do
    durable.check_writable(project.export_path)
    changed = differing(run.written_config(), project.config.model_dump(mode="json"), _FREE)
    if changed:
        raise RunError(
            f"{run.path} was trained with other settings: {'; '.join(changed)}. Update it with its "
            "own. Features and tasks may change in Python, see `rk.warm_start`; else train anew in "
            "another folder with --run."
        )
    with run.lock:
        return Day(project, data, day).run()


class Day:
    """One update, stage by stage."""

    def __init__(self, project: Project, data: Sequence[str], day: str | None) -> None:
        self.project, self.data = project, list(data)
        self.settings = project.config.update
        self.folder = UpdateFolder(project.run, project.export_path)
        self.folder.take_over()  # an update that was killed after it had been decided
        self.series = Series(project.run)
        self.series.check_whole()
        self.asked, self.day = day, 0

    def run(self) -> dict[str, Any]:
        """All stages."""
        project, folder, run = self.project, self.folder, self.project.run
        old = run.load_model()
        whole = self.files(old.features)
        fingerprint = json.loads(json.dumps(whole.fingerprint))
        done = self.series.trained_on(fingerprint, self.asked, whole.has_rows)
        if done is not None:
            project.out.say(f"These rows were trained on already, as day {done['day']}")
            return _public(done)
        self.day, date = self.series.number(fingerprint, self.asked)
        trainable = run.uncalibrated if run.uncalibrated.exists() else run.model
        identity = {
            "day": self.day,
            "data": fingerprint,
            "before": [durable.checksum(p) for p in (trainable, run.ledger) if p.exists()],
            "settings": project.config.model_dump(
                mode="json", exclude={"export": True, "run": True, "update": {"gate"}}
            ),
        }
        if folder.begin(identity):
            self._tell("goes on where it stopped")
        project.bad_rows.path = folder.bad_rows
        rows = self._counted(old.features)
        self._tell(", ".join(f"{number:,} rows to {part}" for part, number in rows.items()))
        ahead = folder.kept("ahead") or folder.keep("ahead", self._measure(old, whole))
        self._tell("scored ahead of training: " + _shown(ahead["metrics"]))
        held = self.files(old.features, "compare")
        served, where = self._served(old, held)
        before = self._ranks(old, held)
        found = self._next_day(load_model(trainable, compiled=True))
        self._train(found.model, rows["train"], identity)
        final = self._finish(found.model)
        compared = self.files(final.features, "compare")
        profile, evaluation = self._profile(final, compared), self._evaluate(final, compared)
        new: dict[str, Any] = {"metrics": evaluation.metrics, "effective_rank": _means(profile)}
        gate = self.settings.gate
        refused = [*update_gate.problems(gate, served, new["metrics"])]
        refused += update_gate.rank_problems(gate, before, new["effective_rank"])
        held_out = {"served": served, "new": new["metrics"]}
        self._tell(f"compared with {where}: {_shown(held_out)}")
        export = None
        if not refused:
            path, refused = self._export(final, new)
            export = str(folder.base / path.name)
        line = {
            "day": self.day,
            **date,
            "rows": rows,
            "ahead": ahead["metrics"],
            "effective_rank": ahead["effective_rank"],
            "compared_with": where,
            "held": held_out,
            "vocabularies": found.changes,
            "tables": found.moved.tables,
            "calibrated": self.settings.calibrate,
            "export": None if refused else export,
            "refused": refused,
            "data": fingerprint,
        }
        if refused:
            self.series.write(line)
            self._tell("refused")
            return _public(line)
        summary = run.read_summary() | {
            "parameters": int(final.count_params()), "rows": rows["train"], "day": self.day,
            "validation": new["metrics"],
        }  # fmt: skip
        summary.pop("test", None)  # of another model
        durable.write_text(folder.summary, json_text(summary, indent=1) + "\n")
        if profile is not None:
            write_day_report(
                project, folder.report, line, profile, found.model, evaluation.calibration
            )
        folder.decide(line)
        self._tell("decided")
        folder.take_over()
        return _public(line)

    def files(self, features: rk.FeatureSet, part: str | None = None) -> Files:
        """The day's rows, or those of a part."""
        config = self.project.config
        where = []
        if part is not None:
            seed, by = config.training.seed, self.settings.holdout_by
            where = [Share(*self._parts()[part], seed, by)]
        return self.project.inputs(
            self.data,
            features,
            self.project.group_columns,
            tasks=self.project.tasks,
            weight=config.data.weight,
            where=where,
        )

    def _parts(self) -> dict[str, tuple[float, float]]:
        """Shares of the day's rows; half of those held out are for the calibration, if asked."""
        held = self.settings.holdout
        if self.settings.calibrate is None:
            return {"train": (0.0, 1 - held), "compare": (1 - held, 1.0)}
        half = 1 - held / 2
        return {"train": (0.0, 1 - held), "calibrate": (1 - held, half), "compare": (half, 1.0)}

    def _counted(self, features: rk.FeatureSet) -> dict[str, int]:
        """Rows of each part, all of which are read and checked."""
        rows = {}
        for part in self._parts():
            try:
                rows[part] = scan(self.files(features, part)).rows
            except DataError as error:
                if error.file is not None:
                    raise
                rows[part] = 0
        # Ranks are of two rows at least.
        short = [part for part, number in rows.items() if number < 1 + (part == "compare")]
        if short:
            found = ", ".join(f"{number} to {part}" for part, number in rows.items())
            raise RunError(
                f"The {sum(rows.values()):,} rows are too few: {found}, of which `compare` needs "
                "2. Add them to the rows of the next day, or hold out another share of them: "
                f"update.holdout is {self.settings.holdout:g}."
            )
        return rows

    def _tell(self, text: str) -> None:
        self.project.run.note(f"update of day {self.day}: {text}")
        self.project.out.say(f"Day {self.day}: {text}")

    def _evaluate(self, model: Any, files: Files, scored: Any = None) -> scoring.Evaluation:
        training, batch = self.project.config.training, self.project.scoring_batch
        by = training.calibration_by
        return scoring.evaluate(model, files, batch, training.gauc_by, scored, by)

    def _measure(self, model: Any, files: Files) -> dict[str, Any]:
        return {
            "metrics": self._evaluate(model, files).metrics,
            "effective_rank": self._ranks(model, files),
        }

    def _ranks(self, model: Any, files: Files) -> dict[str, float]:
        """Effective rank by layer; empty of models without tokens."""
        return _means(self._profile(model, files))

    def _profile(self, model: Any, files: Files) -> Any:
        """The effective ranks; none of models without tokens."""
        model = getattr(model, "base", model)
        if not any(layer.name == "tokens" for layer in model.layers):
            return None
        rows = self.project.config.training.rank_rows
        probe = files.dataset(rows).take(1)
        label = f"day {self.day}"
        return rk.diagnostics.rank_profile(model, probe, samples=rows, table_rows=0, label=label)

    def _served(self, old: Any, held: Files) -> tuple[Any, str]:
        """Metrics of the version that is served, or of yesterday's model where none is."""
        base = self.folder.base
        if not rk.serving.versions(base):
            return self._evaluate(old, held).metrics, "yesterday's model"
        path = rk.serving.version_path(base)
        scored = update_gate.scores_of_export(path, held, self.project.scoring_batch)
        return self._evaluate(old, held, scored).metrics, f"version {path.name}"

    def _next_day(self, old: Any) -> rk.models.NextDay:
        """Today's model, with yesterday's weights."""
        project, run = self.project, self.project.run
        keras.utils.set_random_seed((project.config.training.seed + self.day) % 2**32)
        found = rk.models.next_day(
            old,
            self.files(old.features, "train").dataset(project.scoring_batch),
            run.read_ledger(),
            day=self.day,
            **{name: getattr(self.settings, name) for name in _RULES},
        )
        pq.write_table(found.ledger, self.folder.ledger)
        if self.settings.learning_rate is not None:
            found.model.optimizer.learning_rate = self.settings.learning_rate
        self._tell("vocabularies grown, started warm")
        return found

    def _train(self, model: Any, count: int, identity: Any) -> None:
        training = self.project.config.training
        files = self.files(model.features, "train")
        files.rows = count
        rows = files.dataset(
            training.batch_size,
            shuffle=True,
            seed=training.seed + self.day,
            shuffle_rows=self.project.config.data.shuffle_rows,
            encoded=True,
        )
        resume = rk.callbacks.Resume(
            self.folder.checkpoints, every=training.checkpoint_every or "epoch", data=identity
        )
        verbose = self.project.out.verbose
        model.fit(rows, epochs=self.settings.epochs, verbose=verbose, callbacks=[resume])
        self._tell("trained")

    def _finish(self, model: Any) -> Any:
        """Saves the model, calibrated if asked; returns what is to be served."""
        folder, method = self.folder, self.settings.calibrate
        if method is None:
            _save(model, folder.model)
            return model
        _save(model, folder.uncalibrated)
        rows = self.files(model.features, "calibrate").dataset(self.project.scoring_batch)
        final = rk.calibrate(model, rows, method)
        _save(final, folder.model)
        self._tell("calibrated")
        return final

    def _export(self, model: Any, measured: Any) -> tuple[Path, list[str]]:
        """A checked version, not yet served, and why it is too slow."""
        settings, base = self.project.config.export, self.folder.base
        files = self.files(model.features, "compare")
        before = rk.serving.versions(base)
        path = rk.export(
            model,
            self.folder.export,
            version=max(before, default=0) + 1,
            warmup=files.dataset(settings.warmup_rows).take(1).map(lambda row, *_: row),
            signatures=settings.signatures,
            batch_sizes=settings.batch_sizes,
            device=settings.device,
            metrics={
                f"held_{task}_{name}": value
                for task, values in measured["metrics"].items()
                for name, value in values.items()
                if value == value  # NaN is in no card
            },
            effective_rank=measured["effective_rank"] or None,
        )
        self._tell(f"exported version {path.name}, not yet served")
        if not before or self.settings.gate.latency is None:
            return path, []
        rows = next(iter(files.dataset(max(settings.batch_sizes)).map(lambda row, *_: row)))
        times = update_gate.latencies([rk.serving.version_path(base), path], rows)
        self._tell("a call takes {:.2f} ms, {:.2f} ms of the one served".format(*times[::-1]))
        return path, update_gate.latency_problems(self.settings.gate, *times)


def _means(profile: Any) -> dict[str, float]:
    return {} if profile is None else {n: layer.mean for n, layer in profile.layers.items()}


def _save(model: Any, path: Path) -> None:
    with durable.blamed(path):
        model.save(path)


def _shown(metrics: Any) -> str:
    """Metrics by task, or by what and task, in one line."""
    if not metrics:
        return "none"
    first = next(iter(metrics.values()))
    if isinstance(next(iter(first.values())), dict):
        return "; ".join(f"{name} {_shown(each)}" for name, each in metrics.items())
    return "; ".join(
        f"{task} "
        + ", ".join(f"{n} {v:.4f}" if v is not None else f"{n} none" for n, v in m.items())
        for task, m in metrics.items()
    )


def _public(line: dict[str, Any]) -> dict[str, Any]:
    found = json.loads(json_text(line))  # where an undefined value is none
    return {name: value for name, value in found.items() if name != "data"}
