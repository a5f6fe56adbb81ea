from rankup_keras.diagnostics.report_page import card, page, table


def test_texts_are_escaped_and_bodies_are_not():
    text = page(
        "<a>", "b & c", [card("<d>", "<e>", "<p>f</p>", wide=True), table([["<g>"], ["<h>"]])]
    )
    for raw in ("<a>", "b & c", "<d>", "<e>", "<g>", "<h>"):
        assert raw not in text
    assert "<h1>&lt;a&gt;</h1>" in text
    assert '<section class="wide"><h2>&lt;d&gt;</h2>' in text
    assert "<p>f</p>" in text
    assert "<th>&lt;g&gt;</th>" in text
    assert "<td>&lt;h&gt;</td>" in text


def test_a_card_without_a_note_has_no_line_for_it():
    assert card("a", "", "b") == "<section><h2>a</h2>b</section>"
