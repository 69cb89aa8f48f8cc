"""``vgg-2014`` and ``vgg-2014-small``: how VGG was trained, at 224 and at 32 pixels.

    convnets train vgg16 --data photos --recipe vgg-2014
    convnets bench vgg16 --data cifar10 --recipe vgg-2014-small

Simonyan and Zisserman 2015 (arXiv:1409.1556), Section 3.1: 74 epochs of ImageNet; configuration D
(vgg16) reaches 25.6 % top-1 error at one scale (Table 3). The paper starts deep networks from the
layers of a shallow one; ours start from He's weights, which the paper's authors did not have.

In the small form the rate is that of half the batch (Goyal et al. 2017, Section 2.1), and the
jitter of scale, which 32 pixels have no room for, gives way to the crops of CIFAR.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation, ScaleJitter
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Plateau, Sgd

SECTION = "Simonyan and Zisserman 2015, Section 3.1"

SOURCES = {
    "optimizer.momentum": f"{SECTION}: 0.9",
    "optimizer.weight_decay": f"{SECTION}: 5e-4",
    "schedule.factor": f"{SECTION}: divided by 10",
    "schedule.patience": "ours: the paper waits for the validation accuracy to stop rising",
    "dropout": f"{SECTION}: 0.5",
    "normalise": "Simonyan and Zisserman 2015, Section 2.1: less the mean; white is 1 here",
    "augmentation.flip": SECTION,
    "augmentation.pca": f"{SECTION}: the colour shift of AlexNet",
}

VGG_2014 = Recipe(
    name="vgg-2014",
    summary="VGG on ImageNet: SGD, scale jitter, rate divided by 10 on a plateau",
    year=2014,
    epochs=74,
    batch_size=256,
    optimizer=Sgd(lr=0.01, momentum=0.9, weight_decay=5e-4),
    schedule=Plateau(factor=0.1, patience=5),
    dropout=0.5,
    normalise="mean",
    augmentation=Augmentation(
        scale_jitter=ScaleJitter(low=256 / 224, high=512 / 224), flip=True, pca=0.1
    ),
    input_size=224,
    sources={
        **SOURCES,
        "epochs": f"{SECTION}: 74",
        "batch_size": f"{SECTION}: 256",
        "optimizer.lr": f"{SECTION}: 0.01",
        "augmentation.scale_jitter": f"{SECTION}: from 256 to 512 pixels",
        "input_size": "Simonyan and Zisserman 2015, Section 2.1: 224",
    },
)

VGG_2014_SMALL = Recipe(
    name="vgg-2014-small",
    summary="VGG's training at 32 pixels: 30 epochs, half the batch at half the rate",
    year=2014,
    epochs=30,
    batch_size=128,
    optimizer=Sgd(lr=0.005, momentum=0.9, weight_decay=5e-4),
    schedule=Plateau(factor=0.1, patience=3),
    dropout=0.5,
    normalise="mean",
    augmentation=Augmentation(padding=4, padding_mode="zero", flip=True, pca=0.1),
    sources={
        **SOURCES,
        "epochs": "ours: for a CPU",
        "batch_size": "ours: 128, as He et al. 2015 on CIFAR",
        "optimizer.lr": f"{SECTION}, 0.01 at 256, in proportion to the batch (Goyal et al. 2017)",
        "augmentation.padding": "He et al. 2015, Section 4.2, for crops of a part of 32 pixels",
        "augmentation.padding_mode": "He et al. 2015, Section 4.2",
    },
)
