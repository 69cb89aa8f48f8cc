"""``lecture``: what the lecture's evaluation plausibly ran, at 32x32 and stem ``auto``.

    convnets bench --data cifar10 --recipe lecture

The lecture gives its accuracies (ResNet-18 at 32x32: 77.4 %) and no protocol. Plain SGD with the
textbook's values and no augmentation is the simplest run that they are compatible with. This is our
reading of it, not its statement.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Plateau, Sgd

LECTURE = Recipe(
    name="lecture",
    summary="what the lecture plausibly ran: plain SGD, no augmentation, paper stems at 32x32",
    epochs=30,
    batch_size=128,
    optimizer=Sgd(lr=0.01, momentum=0.9, weight_decay=5e-4),
    schedule=Plateau(factor=0.1, patience=3),
    augmentation=Augmentation(),
    stem="auto",
    sources={
        "epochs": "ours: the lecture does not say",
        "batch_size": "the lecture on AlexNet: batch 128",
        "optimizer.lr": "the lecture on AlexNet: 1e-2",
        "optimizer.momentum": "the lecture on AlexNet and ResNet: 0.9",
        "optimizer.nesterov": "none in either",
        "optimizer.weight_decay": "the lecture on AlexNet: 5e-4",
        "optimizer.decay_vectors": "all parameters, as torch does by default",
        "schedule": "the lecture on AlexNet and ResNet: divided by 10 on a plateau",
        "label_smoothing": "none",
        "clip_norm": "none",
        "accumulation": "none",
        "ema_decay": "none",
        "augmentation": "ours: none, the reading that its figures at 32x32 are compatible with",
        "stem": "the lecture: as published; where 32x32 does not fit it does not say",
        "input_size": "the data's own size",
    },
)
