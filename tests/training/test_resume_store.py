import pathlib

import pytest

from rankup_keras.durable import find_damage
from rankup_keras.training.resume_store import CheckpointsDamagedError, CheckpointStore


def fill(text):
    def write(folder):
        (folder / "a.txt").write_text(text)
        (folder / "b.txt").write_text("b")

    return write


def test_the_last_ones_stay(tmp_path):
    store = CheckpointStore(tmp_path / "made" / "here", keep=2)
    assert store.numbers() == []
    assert store.newest_good() is None
    for number in range(4):
        store.write(fill(str(number)))
    assert store.numbers() == [2, 3]
    assert store.newest_good() == 3
    assert (store.path(3) / "a.txt").read_text() == "3"
    assert sorted(path.name for path in store.directory.iterdir()) == [
        "checkpoint-00000002",
        "checkpoint-00000003",
    ]


def test_unpublished_leaves_nothing(tmp_path):
    CheckpointStore(tmp_path, writer="worker-1").write(fill("x"), publish=False)
    assert list(tmp_path.iterdir()) == []


def truncate(folder):
    (folder / "a.txt").write_text("")


def change(folder):
    (folder / "a.txt").write_text("other"[:1])


def lose(folder):
    (folder / "b.txt").unlink()


def cut_list(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text()[:-3])


def lose_list(folder):
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (truncate, "0 bytes instead of 1"),
        (change, "does not have the checksum"),
        (lose, "'b.txt' is missing"),
        (cut_list, "list of files"),
        (lose_list, "list of files"),
    ],
)
def test_damage_is_noticed_and_the_one_before_is_used(tmp_path, harm, message):
    store = CheckpointStore(tmp_path)
    store.write(fill("1"))
    store.write(fill("2"))
    assert find_damage(store.path(1)) is None
    harm(store.path(1))
    with pytest.warns(UserWarning, match=message):
        assert store.newest_good() == 0
    harm(store.path(0))
    with pytest.raises(CheckpointsDamagedError, match=rf"No checkpoint .* is intact.*{message}"):
        store.newest_good()


def test_what_a_kill_leaves_behind_is_no_checkpoint(tmp_path):
    store = CheckpointStore(tmp_path)

    def killed(folder: pathlib.Path):
        fill("1")(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write(killed)
    assert store.newest_good() is None
    store.write(fill("2"))
    assert store.numbers() == [0]
