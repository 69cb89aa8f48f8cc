"""``resnet-2015``: how ResNet was trained on ImageNet.

    convnets train resnet50_v1 --data photos --recipe resnet-2015

He, Zhang, Ren and Sun 2015 (arXiv:1512.03385), Section 3.4: 600,000 steps of 256 images; ResNet-50
reaches 22.85 % top-1 error on ten crops (Table 3). Its form for CIFAR is ``resnet-cifar``.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation, ScaleJitter
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Plateau, Sgd

SECTION = "He et al. 2015, Section 3.4"

RESNET_2015 = Recipe(
    name="resnet-2015",
    summary="ResNet on ImageNet: SGD, scale jitter, rate divided by 10 on a plateau",
    year=2015,
    epochs=120,
    batch_size=256,
    optimizer=Sgd(lr=0.1, momentum=0.9, weight_decay=1e-4),
    schedule=Plateau(factor=0.1, patience=5),
    normalise="mean",
    augmentation=Augmentation(
        scale_jitter=ScaleJitter(low=256 / 224, high=480 / 224), flip=True, pca=0.1
    ),
    input_size=224,
    sources={
        "epochs": f"{SECTION}: up to 600,000 steps, 120 epochs",
        "batch_size": f"{SECTION}: 256",
        "optimizer.lr": f"{SECTION}: 0.1",
        "optimizer.momentum": f"{SECTION}: 0.9",
        "optimizer.weight_decay": f"{SECTION}: 0.0001",
        "schedule.factor": f"{SECTION}: divided by 10 when the error plateaus",
        "schedule.patience": "ours: the paper does not say how long a plateau is",
        "normalise": f"{SECTION}: the mean is subtracted, of each pixel there; white is 1 here",
        "augmentation.scale_jitter": f"{SECTION}: from 256 to 480 pixels",
        "augmentation.flip": SECTION,
        "augmentation.pca": f"{SECTION}: the standard colour augmentation of AlexNet",
        "input_size": f"{SECTION}: 224",
    },
)
