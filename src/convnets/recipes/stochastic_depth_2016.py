"""``stochastic-depth-2016``: residual networks whose blocks sleep, on CIFAR.

    convnets bench resnet110 --data cifar10 --recipe stochastic-depth-2016

Huang, Sun, Liu, Sedra and Weinberger 2016 (arXiv:1603.09382), Section 4: 500 epochs, where
ResNet-110 reaches 5.23 % error on CIFAR-10 against 6.41 % with every block awake (Table 1).
"""

from __future__ import annotations

from convnets.data.augment import Augmentation
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Sgd, Steps

SECTION_4 = "Huang et al. 2016, Section 4"

STOCHASTIC_DEPTH_2016 = Recipe(
    name="stochastic-depth-2016",
    summary="ResNet on CIFAR with the last block dropped half of the time",
    year=2016,
    epochs=500,
    batch_size=128,
    optimizer=Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
    schedule=Steps(milestones=(0.5, 0.75), factor=0.1),
    stochastic_depth=0.5,
    augmentation=Augmentation(padding=4, padding_mode="zero", flip=True),
    sources={
        "epochs": f"{SECTION_4}: 500",
        "batch_size": f"{SECTION_4}: 128",
        "optimizer.lr": f"{SECTION_4}: 0.1",
        "optimizer.momentum": f"{SECTION_4}: 0.9",
        "optimizer.nesterov": f"{SECTION_4}",
        "optimizer.weight_decay": f"{SECTION_4}: 1e-4",
        "schedule": f"{SECTION_4}: divided by 10 at epochs 250 and 375",
        "stochastic_depth": f"{SECTION_4}: p_L = 0.5, linear (Eq. 4)",
        "augmentation": f"{SECTION_4}: 4 pixels of padding, crop, flip",
    },
)
