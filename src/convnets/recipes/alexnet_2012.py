"""``alexnet-2012`` and ``alexnet-2012-small``: how AlexNet was trained, at 227 and at 32 pixels.

    convnets train alexnet --data photos --recipe alexnet-2012
    convnets bench alexnet_owt --data cifar10 --recipe alexnet-2012-small

Krizhevsky, Sutskever and Hinton 2012, Sections 4 and 5: 90 passes over ImageNet, where one network
reaches 40.7 % top-1 error (Table 2). The paper lowers the rate by hand when the validation error
stops falling; here the training loss decides, for nothing is chosen on test images.

The small form keeps rate and batch, which were 128 already, and takes the crops of CIFAR.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation, ScaleJitter
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Plateau, Sgd

SECTION_5 = "Krizhevsky et al. 2012, Section 5"
SIDE = 227

SOURCES = {
    "batch_size": f"{SECTION_5}: 128",
    "optimizer.lr": f"{SECTION_5}: 0.01",
    "optimizer.momentum": f"{SECTION_5}: 0.9",
    "optimizer.weight_decay": f"{SECTION_5}: 0.0005",
    "optimizer.decay_vectors": "cuda-convnet, the authors' code, decays no biases",
    "schedule.factor": f"{SECTION_5}: divided by 10",
    "schedule.patience": "ours: when the loss has stopped falling, the paper's eye decides",
    "dropout": "Krizhevsky et al. 2012, Section 4.2: 0.5",
    "normalise": "Krizhevsky et al. 2012, Section 2: the mean is subtracted; white is 1 here",
    "augmentation.flip": "Krizhevsky et al. 2012, Section 4.1",
    "augmentation.pca": "Krizhevsky et al. 2012, Section 4.1: 0.1",
}

ALEXNET_2012 = Recipe(
    name="alexnet-2012",
    summary="AlexNet on ImageNet: SGD, dropout, PCA lighting, rate divided by 10 on a plateau",
    year=2012,
    epochs=90,
    batch_size=128,
    optimizer=Sgd(lr=0.01, momentum=0.9, weight_decay=5e-4, decay_vectors=False),
    schedule=Plateau(factor=0.1, patience=5),
    dropout=0.5,
    normalise="mean",
    augmentation=Augmentation(
        scale_jitter=ScaleJitter(low=256 / SIDE, high=256 / SIDE), flip=True, pca=0.1
    ),
    input_size=SIDE,
    sources={
        **SOURCES,
        "epochs": f"{SECTION_5}: roughly 90 cycles",
        "augmentation.scale_jitter": "Krizhevsky et al. 2012, Section 4.1: crops of 256 pixels",
        "input_size": "the 55x55 maps of Section 3.5 need 227; the text says 224",
    },
)

ALEXNET_2012_SMALL = Recipe(
    name="alexnet-2012-small",
    summary="AlexNet's training at 32 pixels: a third of the epochs, CIFAR's crops",
    year=2012,
    epochs=30,
    batch_size=128,
    optimizer=Sgd(lr=0.01, momentum=0.9, weight_decay=5e-4, decay_vectors=False),
    schedule=Plateau(factor=0.1, patience=3),
    dropout=0.5,
    normalise="mean",
    augmentation=Augmentation(padding=4, padding_mode="zero", flip=True, pca=0.1),
    sources={
        **SOURCES,
        "epochs": "ours: a third of the paper's 90",
        "augmentation.padding": "He et al. 2015, Section 4.2, for crops of a part of 32 pixels",
        "augmentation.padding_mode": "He et al. 2015, Section 4.2",
    },
)
