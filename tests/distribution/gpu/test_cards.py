"""Cards by name."""

import pytest

from rankup_keras.distribution.gpu.cards import CARDS, card_of


def test_cards_are_known_by_name_and_described_to_the_compiler():
    assert card_of("H100") is CARDS["h100"]
    assert "core_count: 132" in card_of("h100").target
    assert "ACCELERATED_FEATURES" not in card_of("a100").target
    # A GPU is bound by memory below some hundred operations a byte.
    assert all(100 < card.flops / card.bandwidth < 500 for card in CARDS.values())
    with pytest.raises(ValueError, match=r"one of \['a100', 'h100', 'l4'\]. Received: card='v5e'"):
        card_of("v5e")
