"""Bad rows that are left out, over several runs."""

from rankup_keras.data.bad_rows import BadRows


def test_a_run_that_goes_on_keeps_the_rows_of_the_first(tmp_path):
    path = tmp_path / "bad.jsonl"
    BadRows("skip", limit=2, path=path).report("a.csv", 3, "x", "?", "No number.")
    again = BadRows("skip", limit=2, path=path)
    again.take_up()
    assert again.count == 1
    again.report("a.csv", 3, "x", "?", "No number.")
    again.report("a.csv", 4, "x", "!", "No number.")
    assert again.count == len(path.read_text().splitlines()) == 2
