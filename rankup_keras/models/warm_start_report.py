"""What a warm start took over, as a table."""

import dataclasses


@dataclasses.dataclass
class WarmStart:
    """What `warm_start` took over.

    Attributes:
        tables: feature → numbers of rows `kept` and `new` of its table, and rows of the old
            table that are `gone`.
        dense_kept: number of dense weights taken over.
        dense_new: names of dense weights that start anew, with the reason.
        features_added: names.
        features_removed: names.
        tasks_added: names.
        tasks_removed: names.

    Example:

    ```python
    import rankup_keras as rk

    rows = {"ad": ["a", "b"], "click": [0, 1]}
    features = rk.FeatureSet([rk.Categorical("ad")]).adapt(rows)
    old = rk.DCNv2(features, ["click"], embedding_dim=4)
    old.compile()
    grown = rk.features.grow(features, {"ad": ["b", "c"]}, day=1)
    moved = rk.warm_start(rk.models.rebuild(old, grown.features), old)
    print(moved.tables["ad"])
    ```
    """

    tables: dict[str, dict[str, int]]
    dense_kept: int
    dense_new: dict[str, str]
    features_added: list[str]
    features_removed: list[str]
    tasks_added: list[str]
    tasks_removed: list[str]

    def __str__(self) -> str:
        lines = [
            f"table of {name}: {c['kept']:,} rows kept, {c['new']:,} new, {c['gone']:,} gone"
            for name, c in self.tables.items()
        ]
        lines.append(f"dense weights: {self.dense_kept} kept, {len(self.dense_new)} new")
        lines += [f"  new: {name} ({reason})" for name, reason in self.dense_new.items()]
        for what in ("features_added", "features_removed", "tasks_added", "tasks_removed"):
            if getattr(self, what):
                lines.append(f"{what.replace('_', ' ')}: {', '.join(getattr(self, what))}")
        return "\n".join(lines)
