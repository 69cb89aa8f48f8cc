"""PNASNet-5's Fig. 1: one cell, stacked with strides."""

from __future__ import annotations

import torch

from convnets.layers.cell_operations import FactorizedReduction
from convnets.models import create_model


def test_stages_at_331_pixels() -> None:
    with torch.device("meta"):
        network = create_model("pnasnet5_large")
        stages = [f"features.{name}" for name in ("stem", "stage1", "stage2", "stage3")]
        maps = network.forward_intermediates(torch.empty(1, 3, 331, 331), stages)
    # Five sums a cell, F = 216 in the first stage, half of it in the stem's second cell.
    assert [tuple(maps[stage].shape[1:]) for stage in stages] == [
        (5 * 108, 42, 42),
        (5 * 216, 42, 42),
        (5 * 432, 21, 21),
        (5 * 864, 11, 11),
    ]


def test_one_cell_serves_throughout() -> None:
    with torch.device("meta"):
        network = create_model("pnasnet5_large")
    cells = [*network.features.stem.cells, *network.features.stage1, *network.features.stage2]
    cells += [*network.features.stage3]
    assert len(cells) == 2 + 3 * 4
    kernels = {
        tuple(
            module.kernel_size[0]
            for name, module in cell.named_modules()
            if name.endswith("depthwise")
        )
        for cell in cells
    }
    # The separable layers of Fig. 1, each applied twice.
    assert kernels == {(5, 5, 7, 7, 5, 5, 3, 3, 3, 3, 3, 3)}


def test_an_older_map_of_another_size_is_halved() -> None:
    with torch.device("meta"):
        features = create_model("pnasnet5_large").features
    halved = [
        name for name, module in features.named_modules() if isinstance(module, FactorizedReduction)
    ]
    assert halved == [
        "stem.cells.cell2.previous.reduce",
        "stage1.block1.previous.reduce",
        "stage2.block2.previous.reduce",
        "stage3.block2.previous.reduce",
    ]
