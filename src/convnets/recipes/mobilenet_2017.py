"""``mobilenet-2017`` and ``mobilenet-2017-small``: how MobileNet was trained, at 224 and 32 pixels.

    convnets train mobilenet_v1 --data photos --recipe mobilenet-2017
    convnets bench mobilenet_v1 --data cifar10 --recipe mobilenet-2017-small

Howard et al. 2017 (arXiv:1704.04861), Section 3.2: RMSprop as in Inception v3, little decay and
mild crops, for small networks hardly overfit. The numbers are those that MobileNetV2's paper gives
of the same setup (Sandler et al. 2018, Section 6.1), which sixteen workers share without waiting
for each other: that has no counterpart here. MobileNet reaches 70.6 % (Howard et al., Table 4).

In the small form the rate grows with the batch (Goyal et al. 2017, Section 2.1): with an ``eps`` of
1 this RMSprop is close to SGD.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation, ResizedCrop
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Exponential, RmsProp

PAPER = "Howard et al. 2017, Section 3.2"
SECOND = "Sandler et al. 2018, Section 6.1"

SOURCES = {
    "optimizer.decay": f"{SECOND}: 0.9",
    "optimizer.momentum": f"{SECOND}: 0.9",
    "optimizer.eps": "Szegedy et al. 2016 (Inception v3), Section 8: 1.0",
    "optimizer.weight_decay": f"{SECOND}: 0.00004; the first paper: very little or none",
    "augmentation.flip": "TensorFlow-Slim, the authors' code",
}

MOBILENET_2017 = Recipe(
    name="mobilenet-2017",
    summary="MobileNet on ImageNet: RMSprop, 2 % less rate each epoch, mild crops",
    year=2017,
    epochs=300,
    batch_size=96,
    optimizer=RmsProp(lr=0.045, decay=0.9, momentum=0.9, eps=1.0, weight_decay=4e-5),
    schedule=Exponential(factor=0.98, every=1 / 300),
    augmentation=Augmentation(resized_crop=ResizedCrop(scale=(0.35, 1.0)), flip=True),
    input_size=224,
    sources={
        **SOURCES,
        "epochs": "ours: until the rate is 1/400 of the first; no paper says",
        "batch_size": f"{SECOND}: 96",
        "optimizer.lr": f"{SECOND}: 0.045",
        "schedule": f"{SECOND}: times 0.98 each epoch",
        "augmentation.resized_crop": f"{PAPER}: no small crops; how small is ours",
        "input_size": "Howard et al. 2017, Table 1: 224",
    },
)

MOBILENET_2017_SMALL = Recipe(
    name="mobilenet-2017-small",
    summary="MobileNet's training at 32 pixels: 30 epochs, batch 128",
    year=2017,
    epochs=30,
    batch_size=128,
    optimizer=RmsProp(lr=0.06, decay=0.9, momentum=0.9, eps=1.0, weight_decay=4e-5),
    schedule=Exponential(factor=0.82, every=1 / 30),
    augmentation=Augmentation(padding=4, padding_mode="zero", flip=True),
    sources={
        **SOURCES,
        "epochs": "ours: for a CPU",
        "batch_size": "ours: 128, as He et al. 2015 on CIFAR",
        "optimizer.lr": f"{SECOND}, 0.045 at 96, in proportion to the batch (Goyal et al. 2017)",
        "schedule": f"{SECOND}, 0.98 of each of 300 epochs, over 30: 0.98 to the tenth power",
        "augmentation.padding": "He et al. 2015, Section 4.2, for crops of a part of 32 pixels",
        "augmentation.padding_mode": "He et al. 2015, Section 4.2",
    },
)
