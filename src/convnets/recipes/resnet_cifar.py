"""``resnet-cifar``: how ResNet-20 to ResNet-110 were trained on CIFAR-10.

    convnets bench resnet20 --data cifar10 --recipe resnet-cifar

He, Zhang, Ren and Sun 2015 (arXiv:1512.03385), Section 4.2: 64,000 steps of 128 images. The paper
reaches 8.75 % error with ResNet-20 (Table 6). It trains on 45,000 of the 50,000 images.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Sgd, Steps

RESNET_CIFAR = Recipe(
    name="resnet-cifar",
    summary="ResNet on CIFAR: SGD, rate divided by 10 at 1/2 and 3/4, crop and flip",
    year=2015,
    epochs=164,
    batch_size=128,
    optimizer=Sgd(lr=0.1, momentum=0.9, weight_decay=1e-4),
    schedule=Steps(milestones=(0.5, 0.75), factor=0.1),
    augmentation=Augmentation(padding=4, padding_mode="zero", flip=True),
    stem="auto",
    sources={
        "epochs": "He et al. 2015, Section 4.2: 64k steps, 164 epochs of 391",
        "batch_size": "He et al. 2015, Section 4.2: 128",
        "optimizer.lr": "He et al. 2015, Section 4.2: 0.1 (ResNet-110 warms up at 0.01)",
        "optimizer.momentum": "He et al. 2015, Section 4.2: 0.9",
        "optimizer.weight_decay": "He et al. 2015, Section 4.2: 0.0001",
        "optimizer.decay_vectors": "He et al. 2015: no parameter is spared",
        "schedule": "He et al. 2015, Section 4.2: divided by 10 at 32k and 48k of 64k steps",
        "augmentation": "He et al. 2015, Section 4.2: 4 pixels of padding, crop, flip",
    },
)
