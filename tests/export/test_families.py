"""Every family in ONNX, for any number of images, is what it is in torch."""

from __future__ import annotations

import pytest

from convnets.catalog import Family
from convnets.export.agreement import answers
from convnets.export.deployed import Deployed, folded
from convnets.export.onnx_file import network_model, session, whole_model, written
from convnets.models import FAMILIES
from tests.export.pockets import SIZE, pocket
from tests.export.test_fitting import noise

# An export takes seconds; between them these have what is hard to carry over.
OFTEN = {
    "lenet",  # averages with a divisor of their own, a table of maps, distances
    "shufflenet_v2",  # channels that are split and shuffled
    "mobilenet_v3",  # depthwise, squeezed, hard swish
    "swin",  # windows that shift, attention, layer norm, GELU
}
POCKETS = [
    pytest.param(family, id=family.name, marks=[] if family.name in OFTEN else [pytest.mark.slow])
    for family in FAMILIES
]


@pytest.mark.parametrize("family", POCKETS)
def test_a_family_is_the_same_in_onnx(family: Family) -> None:
    loaded = pocket(family)
    description = loaded.description
    network = network_model(folded(loaded), description)
    run = session(written(whole_model(network, description), family.name))
    original = Deployed(loaded.network, description).eval()
    for batch in (1, 2, 5):
        images = noise(batch, SIZE, SIZE, 3)
        assert abs(run(images) - answers(original, images)).max() <= 1e-4
