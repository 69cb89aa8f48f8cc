"""``efficientnetv2-2021`` and ``efficientnetv2-2021-small``: training that grows.

    convnets train efficientnet_v2_s --data photos --recipe efficientnetv2-2021
    convnets bench efficientnet_v2_s --data cifar10 --recipe efficientnetv2-2021-small

Tan and Le 2021 (arXiv:2104.00298), Sections 4 and 5.1: images, augmentation and dropout grow in
four stages of a run, so that most epochs are cheap; EfficientNetV2-S reaches 83.9 % (Table 7). The
values are those of S; M and L end at 380 pixels and, as Table 6 has it, at stronger augmentation.

The small form grows from 16 to 32 pixels, and is scaled as ``efficientnet-2019-small``.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation, RandAugment, ResizedCrop
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Exponential, Progressive, RmsProp

SECTION = "Tan and Le 2021, Section 5.1"
TABLE = "Tan and Le 2021, Table 6"
CODE = "the authors' code"

SOURCES = {
    "optimizer.decay": f"{SECTION}: 0.9",
    "optimizer.momentum": f"{SECTION}: 0.9",
    "optimizer.eps": f"{CODE}: 0.001",
    "optimizer.weight_decay": f"{SECTION}: 1e-5",
    "optimizer.decay_vectors": f"{CODE} spares batch norms",
    "schedule.warmup": f"{SECTION}: from 0; {CODE}: 5 of 350 epochs",
    "schedule.factor": f"{SECTION}: 0.97 every 2.4 epochs",
    "schedule.every": f"{SECTION}: 0.97 every 2.4 of 350 epochs",
    "label_smoothing": f"{CODE}: 0.1",
    "dropout": f"{TABLE}: up to 0.3",
    "stochastic_depth": f"{SECTION}: survival 0.8",
    "progressive.stages": f"{SECTION}: 4 stages of 87 epochs",
    "progressive.size_from": f"{TABLE}: 128 of 300 pixels",
    "progressive.strength_from": f"{TABLE}: RandAugment from 5 to 15",
    "progressive.dropout_from": f"{TABLE}: from 0.1",
    "augmentation.flip": CODE,
    "augmentation.rand_augment": f"{TABLE}: up to 15; here 30 is the strongest, as in torchvision",
}

EFFICIENTNETV2_2021 = Recipe(
    name="efficientnetv2-2021",
    summary="EfficientNetV2 on ImageNet: images, augmentation and dropout grow in four stages",
    year=2021,
    epochs=350,
    batch_size=4096,
    optimizer=RmsProp(lr=0.256, decay=0.9, momentum=0.9, eps=1e-3, weight_decay=1e-5),
    schedule=Exponential(warmup=5 / 350, factor=0.97, every=2.4 / 350),
    label_smoothing=0.1,
    dropout=0.3,
    stochastic_depth=0.2,
    ema_decay=0.9999,
    progressive=Progressive(stages=4, size_from=128 / 300, strength_from=5 / 15, dropout_from=0.1),
    augmentation=Augmentation(
        resized_crop=ResizedCrop(), flip=True, rand_augment=RandAugment(operations=2, magnitude=15)
    ),
    input_size=300,
    sources={
        **SOURCES,
        "epochs": f"{SECTION}: 350",
        "batch_size": f"{SECTION}: 4096; raise accumulation to what fits",
        "optimizer.lr": f"{SECTION}: 0.256",
        "ema_decay": f"{SECTION}: 0.9999",
        "augmentation.resized_crop": f"{CODE}: the crops of GoogLeNet",
        "input_size": f"{TABLE}: up to 300",
    },
)

EFFICIENTNETV2_2021_SMALL = Recipe(
    name="efficientnetv2-2021-small",
    summary="training that grows at 32 pixels: 30 epochs, batch 128",
    year=2021,
    epochs=30,
    batch_size=128,
    optimizer=RmsProp(lr=0.008, decay=0.9, momentum=0.9, eps=1e-3, weight_decay=1e-5),
    schedule=Exponential(warmup=5 / 350, factor=0.97, every=2.4 / 350),
    label_smoothing=0.1,
    dropout=0.3,
    stochastic_depth=0.2,
    ema_decay=0.999,
    progressive=Progressive(stages=4, size_from=0.5, strength_from=5 / 15, dropout_from=0.1),
    augmentation=Augmentation(
        padding=4,
        padding_mode="zero",
        flip=True,
        rand_augment=RandAugment(operations=2, magnitude=15),
    ),
    sources={
        **SOURCES,
        "epochs": "ours: for a CPU",
        "batch_size": "ours: 128, as He et al. 2015 on CIFAR",
        "optimizer.lr": "EfficientNet's code: 0.016 for each 256 images of a batch",
        "ema_decay": "ours: 1000 steps of 11,700, as 0.9999 has 10,000 of 110,000",
        "progressive.size_from": "ours: 16 of 32 pixels, near the paper's share",
        "augmentation.padding": "He et al. 2015, Section 4.2, for crops of a part of 32 pixels",
        "augmentation.padding_mode": "He et al. 2015, Section 4.2",
    },
)
