from rankup_keras.text_tables import aligned


def test_columns_are_aligned_and_nothing_is_cut_or_interpreted():
    rows = [["layer", "rank"], ["a" * 200, "1.5"], ["[bold]b[/bold] :smile:", "10.25"], ["表", ""]]
    head, *body = aligned(rows).splitlines()
    assert head == "layer" + " " * 198 + "rank"
    assert body[0] == "a" * 200 + "    1.5"
    assert body[1].startswith("[bold]b[/bold] :smile:")
    assert body[1].endswith("  10.25")
    assert body[2] == "表"
    assert aligned([["a", "b"], ["1", "22"]], left=(1,)) == "a  b\n1  22"


def test_terminals_and_their_colors_change_nothing(monkeypatch):
    plain = aligned([["a", "b"], ["1", "2"]])
    for name in ("FORCE_COLOR", "TTY_INTERACTIVE", "JUPYTER_COLUMNS", "COLUMNS"):
        monkeypatch.setenv(name, "3")
    assert aligned([["a", "b"], ["1", "2"]]) == plain
