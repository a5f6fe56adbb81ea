"""`rankup-keras train`: from a configuration to a run folder."""

import contextlib
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

import rankup_keras as rk
from rankup_keras import durable
from rankup_keras.cli import scoring
from rankup_keras.cli.failures import RunError
from rankup_keras.cli.output import json_text
from rankup_keras.cli.project import Project
from rankup_keras.cli.run_folder import MetricsLog, load_model
from rankup_keras.cli.run_report import kept_epoch, write_report
from rankup_keras.cli.settings import Training
from rankup_keras.cli.yaml_reader import dump_yaml
from rankup_keras.data.adapt_from_files import adapt, recall
from rankup_keras.data.fingerprints import differences
from rankup_keras.data.statistics import Statistics, scan
from rankup_keras.models.sampled_labels import warn_of_own_rates

# What may differ in a training that is resumed, and in one that is resumed on other data.
_FREE = ("training.epochs", "training.checkpoint_every", "data.cache", "export", "update", "run")
_LOOKED_AT = 1 << 16
_FREE_DATA = ("data.path", "data.split", "data.train", "data.validation", "data.test")


def train(
    project: Project, resume: bool, overwrite: bool, data_changed: bool = False
) -> dict[str, Any]:
    """Trains, and leaves everything in the run folder. Returns the summary."""
    if data_changed and not resume:
        raise RunError("--data-changed goes with --resume: it says how to go on.")
    with project.run.lock:
        return _train(project, resume, overwrite, data_changed)


def _train(project: Project, resume: bool, overwrite: bool, data_changed: bool) -> dict[str, Any]:
    config, out, run = project.config, project.out, project.run
    if config.data.cache is not None:
        durable.check_writable(config.data.cache)
    parts = project.parts
    state = _prepare(project, resume, overwrite, data_changed)
    project.bad_rows.path = run.bad_rows
    if resume:
        project.bad_rows.take_up()
    else:
        run.bad_rows.unlink(missing_ok=True)
    found = learn(project, run.learned) if state is None else _take_up(project, state)
    found.write(run.path)
    for leak in () if resume else rk.data.find_leaks(parts["train"]):
        out.say(f"Warning: {leak}")
        run.note(f"warning: {leak}")
    with _warnings_told(project):
        check_rates(project)
    durable.write_text(run.config, dump_yaml(config.model_dump(mode="json")))
    keras.utils.set_random_seed(config.training.seed)
    model = project.build_model()
    project.compile(model)
    out.say(f"{model.name}: {model.count_params():,} parameters")
    out.say("Building the training step: the first step takes some seconds, the others do not")
    run.note(f"{model.name}, {model.count_params()} parameters, {found.rows} rows")
    if state is not None and state["epoch"] < config.training.epochs:
        text = f"Goes on in epoch {state['epoch'] + 1}: what comes before is passed over"
        out.say(text)
        run.note(text)
    begun = time.perf_counter()
    with _warnings_told(project):
        ranks = _fit(project, model, data_changed)
    seconds = time.perf_counter() - begun
    kept = kept_epoch(project)
    if kept is not None:
        model = load_model(run.best, compiled=True)
        text = f"Kept the weights of epoch {kept} of {run.epochs()}"
        out.say(text)
        run.note(text)
    run.save_model(model)
    summary: dict[str, Any] = {
        "run": str(run.path),
        "model": model.name,
        "parameters": int(model.count_params()),
        "rows": found.rows,
        "bad_rows": project.bad_rows.count,
        "epochs": run.epochs(),
        "kept_epoch": kept or run.epochs(),
        "seconds": round(seconds, 1),
    }
    calibration: dict[str, Any] = {}
    for part in ("validation", "test"):
        if part in parts:
            out.say(f"Evaluating on the rows for {part}")
            evaluation = evaluate(project, model, part)
            summary[part], calibration = evaluation.metrics, evaluation.calibration
    durable.write_text(run.summary, json_text(summary, indent=1) + "\n")
    if ranks is not None and ranks.measured:
        write_report(project, ranks, summary, calibration)
    run.note(f"done in {seconds:.1f} s")
    return summary


def learn(project: Project, keep: Path | None = None) -> Statistics:
    """Reads and checks all rows once; features learn from those to train on."""
    out, parts, cache = project.out, project.parts, project.config.data.cache
    out.say(f"Reading {parts['train']!r} to learn vocabularies and statistics")
    begun = time.perf_counter()
    found = adapt(project.features, parts["train"], cache, keep=keep)
    rates = ", ".join(f"{rate:.2%} {name}" for name, rate in found.labels.items())
    seconds = time.perf_counter() - begun
    out.say(f"{found.rows:,} rows to train on, {rates} ({seconds:.1f} s)")
    for name, rate in found.labels.items():
        if rate in (0, 1):
            told = (
                f"{'every' if rate else 'no'} row to train on is positive for task {name!r}, so "
                "that nothing can be learned of it. Its label's `positive` says which values are."
            )
            out.say(f"Warning: {told}")
            if keep is not None:
                project.run.note(f"warning: {told}")
    _check_other_parts(project)
    return found


def check_rates(project: Project) -> None:
    """Warns of sampling rates that are each row's own, by the first rows."""
    tasks = [task for task in project.tasks if isinstance(task.keep_rate, str)]
    rows: Any = next(project.parts["train"].tables(_LOOKED_AT), None) if tasks else None
    for task in tasks if rows is not None else ():
        columns = (f"label/{task.name}", f"rate/{task.keep_rate}")
        warn_of_own_rates(task.name, *(rows.column(name).to_numpy() for name in columns))


def _check_other_parts(project: Project) -> None:
    out, parts = project.out, project.parts
    for part in ("validation", "test"):
        if part in parts:
            out.say(f"{scan(parts[part]).rows:,} rows for {part}")
    if project.bad_rows.count:
        out.say(f"{project.bad_rows.count:,} malformed rows were left out, see bad_rows.jsonl")


def evaluate(project: Project, model: Any, part: str) -> scoring.Evaluation:
    """Exact metrics on the rows of a part, read with the types of a trained model."""
    training = project.config.training
    files = project.files(part, model.features, project.group_columns)
    batch, by = project.scoring_batch, training.calibration_by
    return scoring.evaluate(model, files, batch, training.gauc_by, segment=by)


def _fit(project: Project, model: Any, data_changed: bool) -> Any:
    """Trains, and returns the rank log, `None` where there is none."""
    run, parts, training = project.run, project.parts, project.config.training
    rows = parts["train"].dataset(
        training.batch_size,
        shuffle=True,
        seed=training.seed,
        shuffle_rows=project.config.data.shuffle_rows,
        encoded=True,
    )
    valid = parts.get("validation")
    callbacks: list[Any] = [MetricsLog(run)]
    ranks = None
    if training.rank_log and not any(layer.name == "tokens" for layer in model.layers):
        text = f"The rank log is off: {type(model).__name__} has no tokens to take ranks of"
        project.out.say(text)
        run.note(text)
    elif training.rank_log:
        probe = (valid or parts["train"]).dataset(training.rank_rows).take(1)
        ranks = rk.callbacks.EffectiveRank(probe, probe_samples=training.rank_rows, path=run.ranks)
        callbacks.insert(0, ranks)
    callbacks += epoch_callbacks(training, parts["train"].rows or 1, str(run.best))
    every = training.checkpoint_every or "epoch"
    model.fit(
        rows,
        validation_data=valid and valid.dataset(project.scoring_batch, encoded=True),
        epochs=training.epochs,
        verbose=project.out.verbose,
        callbacks=[
            rk.callbacks.Resume(
                run.checkpoints,
                callbacks,
                every=every,
                data=_fingerprint(project),
                data_changed=data_changed,
            )
        ],
    )
    if ranks is not None and ranks.measured:
        run.note(f"effective rank, share of the ceiling\n{ranks.table()}")
    return ranks


def epoch_callbacks(training: Training, rows: int, best: str) -> list[Any]:
    """What keeps the best epoch, stops after it, and re-initializes tables.

    Args:
        training: the settings.
        rows: how many rows there are to train on.
        best: path of the best epoch's model.
    """
    stopping, fresh = training.early_stopping, training.fresh_tables
    always = [rk.callbacks.FreshTables()] if fresh == "always" else []
    if stopping is None:
        return always
    steps = -(-rows // training.batch_size)
    patience = max(1, stopping.patience, -(-stopping.patience_steps // steps))
    watched: dict[str, Any] = {"monitor": stopping.monitor, "mode": stopping.mode}
    keep = keras.callbacks.ModelCheckpoint(best, save_best_only=True, **watched)
    if fresh != "when_worse":
        return [keep, keras.callbacks.EarlyStopping(patience=patience, **watched), *always]
    # The first epoch with new tables may still be a gain.
    stop = keras.callbacks.EarlyStopping(patience=patience + 1, **watched)
    return [keep, stop, rk.callbacks.FreshTables(patience=patience, **watched)]


def _prepare(
    project: Project, resume: bool, overwrite: bool, data_changed: bool
) -> dict[str, Any] | None:
    """Makes sure that the folder is free, or holds the run to resume: its last checkpoint."""
    run = project.run
    exists = run.config.exists() or run.metrics.exists()
    if resume and not exists:
        raise RunError(
            f"There is nothing to resume in {run.path}: it holds no run. Train without --resume."
        )
    if exists and not resume and not overwrite:
        raise RunError(
            f"{run.path} holds a run already. Give another folder with --run, continue it with "
            "--resume, or replace it with --overwrite."
        )
    state = None
    if resume and run.ledger.exists():
        raise RunError(
            f"{run.path} goes on by `rankup-keras update` from day to day, and its checkpoints are "
            "of before. Update it, or train anew in another folder with --run."
        )
    if resume:
        free = _FREE + (_FREE_DATA if data_changed else ())
        changed = differing(run.written_config(), project.config.model_dump(mode="json"), free)
        if changed:
            raise RunError(
                f"{run.path} was trained with other settings: {'; '.join(changed)}. Resume it "
                "with its own, or train anew in another folder with --run."
            )
        state = run.last_state()
    if state is not None:
        _check_data(project, state, data_changed)
    elif exists:
        if resume and (run.model.exists() or run.epochs() > 1):
            raise RunError(
                f"{run.checkpoints} holds no checkpoint any more, so {run.path} cannot be "
                "resumed. Restore it from a backup, train anew in another folder with --run, or "
                "replace this run with --overwrite."
            )
        # To be replaced; or killed before its first checkpoint: its log belongs to no training.
        run.clear()
    return state


def _check_data(project: Project, state: dict[str, Any], data_changed: bool) -> None:
    """Refuses to go on with other data, unless told."""
    run, epochs = project.run, project.config.training.epochs
    before, now = state["data"], _fingerprint(project)
    changed = differences(before["files"], now["files"])
    if before["split"] != now["split"]:
        changed.append(f"the split was {before['split']} and is {now['split']}")
    if not changed:
        return
    if not data_changed:
        more = f"; and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise RunError(
            f"{run.path} was trained on other data: {'; '.join(changed[:5])}{more}. Bring the data "
            "back, train anew in another folder with --run, or go on with these data and the "
            "vocabularies of this run by --resume --data-changed."
        )
    if state["epoch"] >= epochs:
        raise RunError(
            f"{run.path} has all of its {epochs} epochs. To train on the new data, allow more: "
            f"--set training.epochs={state['epoch'] + 1}."
        )


def _fingerprint(project: Project) -> dict[str, Any]:
    """What tells the run's data from others."""
    files = {name: part.fingerprint for name, part in project.parts.items() if name != "test"}
    split = project.config.data.split
    return {"files": files, "split": None if split is None else split.model_dump(mode="json")}


def _take_up(project: Project, state: dict[str, Any]) -> Statistics:
    """Features get what the run has learned; rows are counted, and checked if they are others."""
    out, parts, run = project.out, project.parts, project.run
    found = recall(project.features, run.learned)
    if state["data"] == json.loads(json.dumps(_fingerprint(project))):
        parts["train"].rows = found.rows
    else:
        out.say(f"Reading {parts['train']!r}; vocabularies and statistics are those of the run")
        found = scan(parts["train"])
        run.note(f"goes on with other data, {found.rows} rows")
    _check_other_parts(project)
    return found


def differing(before: Any, now: Any, free: tuple[str, ...], at: str = "") -> list[str]:
    """Settings that matter to a training and are no longer as they were."""
    if before == now or at in free:
        return []
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return [f"{at} was {before!r} and is {now!r}"]
    return [
        text
        for key in dict.fromkeys([*before, *now])
        for text in differing(before.get(key), now.get(key), free, f"{at}.{key}" if at else key)
    ]


@contextlib.contextmanager
def _warnings_told(project: Project) -> Iterator[None]:
    """Python warnings as lines of the log and of the progress."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            text = " ".join(str(warning.message).split())
            project.run.note(f"warning: {text}")
            project.out.say(f"Warning: {text}")
