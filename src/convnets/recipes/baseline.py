"""``baseline``: one fair protocol under which every network of the lineage trains.

    convnets bench --data cifar10 --recipe baseline --epochs 3

AdamW is forgiving of the learning rate across networks with and without normalisation, which is
why one value serves LeNet-5 and ConvNeXt alike; the gradient's norm is bounded because VGG and
AlexNet, which normalise nothing, would otherwise diverge at it.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation
from convnets.recipes.recipe import Recipe
from convnets.training.settings import AdamW, Cosine

BASELINE = Recipe(
    name="baseline",
    summary="one fair protocol for all networks: AdamW, warmup and cosine, crop and flip",
    epochs=10,
    batch_size=128,
    optimizer=AdamW(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    schedule=Cosine(warmup=0.1, final=0.0),
    label_smoothing=0.0,
    clip_norm=1.0,
    augmentation=Augmentation(padding=4, padding_mode="zero", flip=True),
    stem="auto",
    sources={
        "epochs": "ours: a budget for comparison on a CPU; raise it with --epochs",
        "batch_size": "Krizhevsky et al. 2012, Section 5; He et al. 2015, Section 4.2",
        "optimizer.lr": "ours: the default of Adam (Kingma and Ba 2015, Algorithm 1)",
        "optimizer.betas": "Kingma and Ba 2015, Algorithm 1",
        "optimizer.eps": "Kingma and Ba 2015, Algorithm 1",
        "optimizer.weight_decay": "Liu et al. 2022 (ConvNeXt), Table 5",
        "optimizer.decay_vectors": "Goyal et al. 2017, Section 5.3: none on norms and biases",
        "schedule.warmup": "Goyal et al. 2017, Section 2.2: the idea; the share is ours",
        "schedule.final": "Loshchilov and Hutter 2017, Eq. 5",
        "label_smoothing": "none, as the lecture's networks had it before 2015",
        "clip_norm": "Pascanu et al. 2013, Algorithm 1; the bound is ours",
        "accumulation": "none",
        "ema_decay": "none",
        "augmentation": "He et al. 2015, Section 4.2: 4 pixels of padding, crop, flip",
        "stem": "as published where the image fits, else the documented small form",
        "input_size": "the data's own size",
    },
)
