"""Names as people write them; what is not known stays as it is."""

import pytest

from glocal.reporting import names

SHOWN = {
    "entity13": "Entity-13",
    "dtd-test": "DTD",
    "dtd-vs-flowers": "DTD vs Oxford Flowers",
    "entity13-per-class": "Entity-13, by subclass",
    "my-own-test": "my-own-test",
}


@pytest.mark.parametrize("name, shown", SHOWN.items())
def test_data_sets(name, shown):
    assert names.dataset(name) == shown


def test_encoders_and_who_judged():
    assert names.judged("clip-b32", "human") == "CLIP ViT-B/32, human judgments"
    assert names.judged("net", "simulated observer") == "net, simulated observer"
    assert names.held_out("held-out objects (object)") == "held-out objects" and names.held_out("things-48") == "THINGS-48"
