"""``wrn-2016``: how wide residual networks were trained on CIFAR.

    convnets bench wrn_16_8_cifar --data cifar10 --recipe wrn-2016

Zagoruyko and Komodakis 2016 (arXiv:1605.07146), Section 3: 200 epochs, where WRN-28-10 reaches
4.00 % error on CIFAR-10 and 3.89 % with dropout of 0.3 between its convolutions (Table 6), which
is a matter of the network's row.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Sgd, Steps

SECTION_3 = "Zagoruyko and Komodakis 2016, Section 3"

WRN_2016 = Recipe(
    name="wrn-2016",
    summary="wide ResNet on CIFAR: Nesterov, rate times 0.2 at 60, 120 and 160 of 200 epochs",
    year=2016,
    epochs=200,
    batch_size=128,
    optimizer=Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
    schedule=Steps(milestones=(0.3, 0.6, 0.8), factor=0.2),
    augmentation=Augmentation(padding=4, padding_mode="reflect", flip=True),
    sources={
        "epochs": f"{SECTION_3}: 200",
        "batch_size": f"{SECTION_3}: 128",
        "optimizer.lr": f"{SECTION_3}: 0.1",
        "optimizer.momentum": f"{SECTION_3}: 0.9",
        "optimizer.nesterov": SECTION_3,
        "optimizer.weight_decay": f"{SECTION_3}: 0.0005",
        "schedule": f"{SECTION_3}: times 0.2 at epochs 60, 120 and 160",
        "augmentation": f"{SECTION_3}: flips, crops of 4 pixels more, filled by reflection",
    },
)
