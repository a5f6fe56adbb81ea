"""KuaiRand: short videos shown by a recommender and, for a part, at random."""

from pathlib import Path

import pyarrow as pa

from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.row_filters import Share
from rankup_keras.data.transforms import Chain, Derive, join, text
from rankup_keras.datasets import public_set
from rankup_keras.datasets.public_set import PublicSet, Source
from rankup_keras.features import Categorical, FeatureSet, Numeric

TERMS = (
    "KuaiRand: CC BY-SA 4.0, to be acknowledged by C. Gao et al., KuaiRand: An Unbiased Sequential "
    "Recommendation Dataset with Randomly Exposed Videos, CIKM 2022."
)
TASKS = ("is_click", "is_like", "is_follow", "is_comment", "is_forward", "long_view")
USER = [
    "user_active_degree", "is_lowactive_period", "is_live_streamer", "is_video_author",
    "follow_user_num_range", "fans_user_num_range", "friend_user_num_range", "register_days_range",
    *(f"onehot_feat{i}" for i in range(18)),
]  # fmt: skip
VIDEO = ["author_id", "video_type", "upload_type", "visible_status", "music_type", "tag"]


def kuairand(
    source: Source,
    tasks: tuple[str, ...] = ("is_click", "is_like", "long_view"),
    random_exposures: bool = False,
) -> PublicSet:
    """KuaiRand (Pure, 1K or 27K): logs, users and videos, CSV with headers.

    `log_standard_4_08_to_4_21_*` train; `log_standard_4_22_to_5_08_*` are
    halved by chance into rows to validate with and to test. Users' and
    videos' columns are joined from `user_features_*` and
    `video_features_basic_*`. Columns that are known only after the video was
    shown (play time, comments' time) are not features.

    Args:
        source: the folder `data` of the set, or one above it.
        tasks: labels among `TASKS`.
        random_exposures: test on `log_random_*`, the videos shown at random,
            in place of the later half.

    Example:

    ```python
    import rankup_keras as rk

    data = rk.datasets.kuairand("KuaiRand-Pure", tasks=("is_click", "long_view"))
    data.adapt()
    columns, labels = next(iter(data.train.dataset(16)))
    ```

    References:
        - Gao et al., "KuaiRand: An Unbiased Sequential Recommendation Dataset
          with Randomly Exposed Videos", CIKM 2022.
    """
    unknown = [task for task in tasks if task not in TASKS]
    if unknown or not tasks:
        raise ValueError(f"`tasks` must be among {TASKS}. Received: tasks={tasks!r}.")
    early = _logs(source, "log_standard_4_08_to_4_21")
    late = _logs(source, "log_standard_4_22_to_5_08")
    test = _logs(source, "log_random") if random_exposures else late
    user_keys, users = _table(source, "user_features", "user_id", USER)
    video_keys, videos = _table(
        source, "video_features_basic", "video_id", [*VIDEO, "video_duration"]
    )
    features = FeatureSet(
        [
            *(Categorical(n, dtype="string", side="user") for n in ("user_id", *users)),
            *(
                Categorical(n, dtype="string", side="candidate")
                for n in ("video_id", *videos)
                if n not in ("tag", "video_duration")
            ),
            Categorical("tag", dtype="string", max_length=5, side="candidate"),
            Numeric("video_duration", normalize="log", side="candidate"),
            Categorical("hour", dtype="string"),
            Categorical("tab", dtype="string"),
        ]
    )
    transform = Chain(
        join("users of KuaiRand", "user_id", user_keys, users),
        join("videos of KuaiRand", "video_id", video_keys, videos),
        Derive("hours of KuaiRand", ["hourmin"], {"hour": pa.string()}, _hour),
    )
    half = [[Share(0, 0.5)], [Share(0.5, 1)]]
    parts = [(early, []), (late, half[0]), (test, [] if random_exposures else half[1])]
    return public_set.make_set(
        features,
        tasks,
        TERMS,
        parts,
        format="csv",
        csv=CsvOptions(list_separator=","),
        transform=transform,
    )


def _logs(source: Source, start: str) -> list[Path]:
    return public_set.find_all(
        source, lambda name: name.startswith(start) and ".csv" in name, f"named {start}*.csv"
    )


def _hour(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    # 1905 is five past seven in the evening, 5 five past midnight.
    minutes = text(batch, "hourmin").to_pylist()
    hours = [str(int(m) // 100) if m and m.isdigit() else "" for m in minutes]
    return {"hour": pa.array(hours, pa.string())}


def _table(
    source: Source, start: str, key: str, wanted: list[str]
) -> tuple[pa.Array, dict[str, pa.Array]]:
    """The key and, of the other columns, those that the set's version has, all text."""
    paths = _logs(source, start)
    there = public_set.column_names(paths[0], CsvOptions())
    table = public_set.text_table(paths, CsvOptions(), [key, *(n for n in wanted if n in there)])
    return table.pop(key), table
