"""What an update makes before its run takes it over, in one step that a kill cannot halve."""

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rankup_keras import durable
from rankup_keras.cli.output import json_text
from rankup_keras.cli.run_folder import RunFolder
from rankup_keras.cli.update_series import Series
from rankup_keras.serving.exporting.model_card import FILE as CARD
from rankup_keras.serving.exporting.version_directory import (
    publish,
    unpublished_directory,
    versions,
)


class UpdateFolder:
    """`.partial_update` in a run while an update works, `update` once all of it is there.

    The rename from one name to the other is what decides. Before it the run is yesterday's; after
    it `take_over` moves the files into the run, again if it was killed on the way.
    """

    def __init__(self, run: RunFolder, base: Path) -> None:
        self.run, self.base = run, base
        self.place, self.decided = run.updating, run.updated
        self.checkpoints = self.place / "checkpoints"
        self.model = self.place / run.model.name
        self.uncalibrated = self.place / run.uncalibrated.name
        self.ledger = self.place / run.ledger.name
        self.summary = self.place / run.summary.name
        self.report = self.place / run.report.name
        self.bad_rows = self.place / run.bad_rows.name
        self.line = self.place / "day.json"
        self.export = self.place / "export" / base.resolve().name

    def begin(self, identity: Mapping[str, Any]) -> bool:
        """Makes the folder; whether an update of the same identity was killed in it."""
        known = self.place / "identity.json"
        text = json_text(identity)
        if known.is_file() and known.read_text(encoding="utf-8") == text:
            shutil.rmtree(self.place / "export", ignore_errors=True)
            self.bad_rows.unlink(missing_ok=True)
            return True
        shutil.rmtree(self.place, ignore_errors=True)
        durable.write_text(known, text)
        return False

    def kept(self, name: str) -> Any:
        """What `keep` has kept under a name, `None` where it has kept nothing."""
        path = self.place / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def keep(self, name: str, content: Any) -> Any:
        """Keeps a result for an update that is run again."""
        durable.write_text(self.place / f"{name}.json", json_text(content))
        return self.kept(name)

    def decide(self, line: Mapping[str, Any]) -> None:
        """From here on the update has happened."""
        durable.write_text(self.line, json_text(line))
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        for path in (*self.place.rglob("*"), self.place):
            durable.flush(path)
        self.place.rename(self.decided)
        durable.flush(self.run.path)

    def take_over(self) -> dict[str, Any] | None:
        """Moves what was decided into the run and serves it; `None` where there is nothing."""
        done = self.decided
        if not done.is_dir():
            return None
        line = json.loads((done / self.line.name).read_text(encoding="utf-8"))
        run = self.run
        if line["calibrated"] is None:
            run.uncalibrated.unlink(missing_ok=True)
        names = (run.uncalibrated, run.model, run.ledger, run.summary, run.bad_rows, run.report)
        for target in names:
            if (done / target.name).exists():
                os.replace(done / target.name, target)
                run.note(f"update of day {line['day']}: {target.name} is in place")
        Series(run).write(line)
        run.note(f"update of day {line['day']}: its line is in {run.days.name}")
        for exported in (done / "export").glob("*"):  # of that name, or of an earlier base path
            self._publish(exported)
        run.note(f"update of day {line['day']}: exported {line['export']}")
        # Under the name of what may be thrown away, so that nothing half-removed is taken over.
        shutil.rmtree(self.place, ignore_errors=True)
        done.rename(self.place)
        shutil.rmtree(self.place)
        return line

    def _publish(self, base: Path) -> None:
        """Renames a version into those of the served model, or copies it from another disk."""
        for number in versions(base):
            source, target = base / str(number), self.base / str(number)
            if target.exists():
                if (target / CARD).read_bytes() == (source / CARD).read_bytes():
                    continue  # it was published before a kill
                raise FileExistsError(
                    f"{target} was taken by another export while this update ran. Move that "
                    "version to another number, and run the update again."
                )
            self.base.mkdir(parents=True, exist_ok=True)
            try:
                source.rename(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                with unpublished_directory(self.base) as place:
                    shutil.copytree(source, place, dirs_exist_ok=True)
                    publish(place, number)
