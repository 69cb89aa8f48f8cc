"""``efficientnet-2019`` and ``efficientnet-2019-small``: how EfficientNet was trained.

    convnets train efficientnet_b0 --data photos --recipe efficientnet-2019
    convnets bench efficientnet_b0 --data cifar10 --recipe efficientnet-2019-small

Tan and Le 2019 (arXiv:1905.11946), Section 5.2: 350 epochs of ImageNet, where B0 reaches 77.1 %
(Table 2). What the paper leaves out is the authors' code (tensorflow/tpu, efficientnet/main.py).
AutoAugment's learned policy is not here; RandAugment, by which the same authors replaced it, stands
in for it. Larger networks want more dropout: from 0.2 for B0 evenly to 0.5 for B7.

The small form has the code's rate for its batch (0.016 for each 256 images) and an average that
reaches back over the same share of the run.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation, RandAugment, ResizedCrop
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Exponential, RmsProp

SECTION = "Tan and Le 2019, Section 5.2"
CODE = "the authors' code"

SOURCES = {
    "optimizer.decay": f"{SECTION}: 0.9",
    "optimizer.momentum": f"{SECTION}: 0.9",
    "optimizer.eps": f"{CODE}: 0.001",
    "optimizer.weight_decay": f"{SECTION}: 1e-5",
    "optimizer.decay_vectors": f"{CODE} spares batch norms",
    "schedule.warmup": f"{CODE}: 5 of 350 epochs",
    "schedule.factor": f"{SECTION}: 0.97 every 2.4 epochs",
    "schedule.every": f"{SECTION}: 0.97 every 2.4 epochs; {CODE}: of 350",
    "label_smoothing": f"{CODE}: 0.1",
    "dropout": f"{SECTION}: 0.2 for B0",
    "stochastic_depth": f"{SECTION}: survival 0.8",
    "augmentation.flip": CODE,
    "augmentation.rand_augment": "in place of AutoAugment; Cubuk et al. 2019, Section 4.3: N = 2, "
    "M = 9 for ResNet-50",
}

EFFICIENTNET_2019 = Recipe(
    name="efficientnet-2019",
    summary="EfficientNet on ImageNet: RMSprop, rate times 0.97 every 2.4 epochs, average",
    year=2019,
    epochs=350,
    batch_size=4096,
    optimizer=RmsProp(lr=0.256, decay=0.9, momentum=0.9, eps=1e-3, weight_decay=1e-5),
    schedule=Exponential(warmup=5 / 350, factor=0.97, every=2.4 / 350),
    label_smoothing=0.1,
    dropout=0.2,
    stochastic_depth=0.2,
    ema_decay=0.9999,
    augmentation=Augmentation(
        resized_crop=ResizedCrop(), flip=True, rand_augment=RandAugment(operations=2, magnitude=9)
    ),
    input_size=224,
    sources={
        **SOURCES,
        "epochs": f"{CODE}: 350",
        "batch_size": f"{CODE}: 4096, which 0.256 is for; raise accumulation to what fits",
        "optimizer.lr": f"{SECTION}: 0.256",
        "ema_decay": f"{CODE}: 0.9999",
        "augmentation.resized_crop": f"{CODE}: the crops of GoogLeNet",
        "input_size": "Tan and Le 2019, Table 1: 224 for B0",
    },
)

EFFICIENTNET_2019_SMALL = Recipe(
    name="efficientnet-2019-small",
    summary="EfficientNet's training at 32 pixels: 30 epochs, batch 128",
    year=2019,
    epochs=30,
    batch_size=128,
    optimizer=RmsProp(lr=0.008, decay=0.9, momentum=0.9, eps=1e-3, weight_decay=1e-5),
    schedule=Exponential(warmup=5 / 350, factor=0.97, every=2.4 / 350),
    label_smoothing=0.1,
    dropout=0.2,
    stochastic_depth=0.2,
    ema_decay=0.999,
    augmentation=Augmentation(
        padding=4,
        padding_mode="zero",
        flip=True,
        rand_augment=RandAugment(operations=2, magnitude=9),
    ),
    sources={
        **SOURCES,
        "epochs": "ours: for a CPU",
        "batch_size": "ours: 128, as He et al. 2015 on CIFAR",
        "optimizer.lr": f"{CODE}: 0.016 for each 256 images of a batch",
        "ema_decay": "ours: 1000 steps of 11,700, as 0.9999 has 10,000 of 110,000",
        "augmentation.padding": "He et al. 2015, Section 4.2, for crops of a part of 32 pixels",
        "augmentation.padding_mode": "He et al. 2015, Section 4.2",
    },
)
