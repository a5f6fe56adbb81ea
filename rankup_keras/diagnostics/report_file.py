"""One self-contained page about a run."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rankup_keras.diagnostics.calibration import Reliability
from rankup_keras.diagnostics.gap_attention import AttentionByGap
from rankup_keras.diagnostics.record import RankProfile, read_profiles
from rankup_keras.diagnostics.report_page import page
from rankup_keras.diagnostics.report_sections import sections, summary


class HasProfiles(Protocol):
    """What `report` needs of a run: `EffectiveRank` has it."""

    @property
    def profiles(self) -> Sequence[RankProfile]:
        """All measurements, the untrained control first."""


def report(
    run: HasProfiles | str | os.PathLike[str] | Sequence[RankProfile],
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    relations: Mapping[str, Any] | None = None,
    collapse_below: float = 0.3,
    attention: AttentionByGap | None = None,
    about: Mapping[str, str] | None = None,
    tokens: Sequence[tuple[str, str]] = (),
    calibration: Mapping[str, Reliability] | None = None,
) -> str:
    """Writes one HTML page about a run: ranks, spectra, tables, metrics, and what they say.

    The page needs no network, no script and no other file, so it can be mailed
    or kept beside a checkpoint.

    Args:
        run: An `EffectiveRank` callback after training, the file it wrote
            (`path=`), the folder that holds this file, or a list of
            `RankProfile`.
        path: HTML file to write. `None` writes `effective_rank.html` beside
            the run's file.
        title: Heading of the page.
        relations: What `token_relations` returned, to be drawn as well.
        collapse_below: Share of its ceiling under which a layer counts as
            collapsed. Defaults to 0.3.
        attention: What `attention_by_gap` returned, to be drawn as well.
        about: What to say of the run at the top: the model, its metrics. Defaults to nothing.
        tokens: Family and fields of every token, as `token_sources(model)` tells them; an
            `EffectiveRank` callback knows them by itself.
        calibration: Task → what `reliability` returned, to be drawn as well.

    Returns:
        The path of the page.

    Raises:
        ValueError: `run` holds no measurement, or no path can be derived from it.

    Example:
    ```python
    import keras, numpy as np
    import rankup_keras as rk

    x = keras.Input((4, 8))
    model = keras.Model(x, keras.layers.Dense(8, name="dense")(x))
    model.compile("adam", "mse")
    rows = np.random.normal(size=(64, 4, 8)).astype("float32")
    model.fit(rows, rows, callbacks=[rk.callbacks.EffectiveRank(rows, path="runs/ranks.jsonl")])
    rk.diagnostics.report("runs", title="First run")  # or the callback itself
    ```
    """
    profiles, folder = _load(run)
    if not profiles:
        raise ValueError("`run` holds no measurement: train with the callback first.")
    if path is None:
        if folder is None:
            raise ValueError("`path` is needed, since `run` is not a file or folder.")
        path = folder / "effective_rank.html"
    tokens = tokens or getattr(run, "tokens", ())
    text = page(
        title or "Effective rank of a training run",
        summary(profiles),
        sections(
            profiles,
            relations or {},
            collapse_below,
            about or {},
            tokens,
            attention,
            calibration or {},
        ),
    )
    target = pathlib.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return str(target)


def _load(run: Any) -> tuple[Sequence[RankProfile], pathlib.Path | None]:
    if isinstance(run, (str, os.PathLike)):
        file = pathlib.Path(run)
        if file.is_dir():
            found = sorted(file.glob("*.jsonl"))
            if len(found) != 1:
                raise ValueError(
                    f"Folder '{file}' must hold one .jsonl file of `EffectiveRank(path=...)`. "
                    f"Found: {[each.name for each in found]}."
                )
            file = found[0]
        if not file.exists():
            raise ValueError(f"`run` names '{file}', which does not exist.")
        return read_profiles(file), file.parent
    profiles = getattr(run, "profiles", run)
    if isinstance(profiles, RankProfile):
        profiles = [profiles]
    if not isinstance(profiles, Sequence) or not all(isinstance(p, RankProfile) for p in profiles):
        raise ValueError(
            "`run` must be an `EffectiveRank` callback, the path of the file it wrote, or a list "
            f"of `RankProfile`. Received: {type(run).__name__}."
        )
    return profiles, None
