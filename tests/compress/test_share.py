"""Weight sharing against the paper's Fig. 3, scikit-learn's k-means and plain autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch import nn
from torch.nn import functional as F

from convnets.compress.layers import settle, weighted_layers
from convnets.compress.prune import prune
from convnets.compress.share import first_centroids, k_means, nearest, share_weights
from convnets.errors import UsageError
from convnets.training.settings import Sgd
from convnets.training.state import TrainingState
from tests.training.pocket import CPU, Plain, run, settings

# The two zeros of the figure's weights are no pruned ones.
NOT_QUITE_ZERO = 1e-12
FIGURE_3 = torch.tensor(
    [
        [2.09, -0.98, 1.48, 0.09],
        [0.05, -0.14, -1.08, 2.12],
        [-0.91, 1.92, NOT_QUITE_ZERO, -1.03],
        [1.87, NOT_QUITE_ZERO, 1.53, 1.49],
    ]
)
GRADIENT = torch.tensor(
    [
        [-0.03, -0.01, 0.03, 0.02],
        [-0.01, 0.01, -0.02, 0.12],
        [-0.01, 0.02, 0.04, 0.01],
        [-0.07, -0.02, 0.01, -0.02],
    ]
)


def shared_layer(weight: torch.Tensor, bits: int) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight.clone())
    share_weights(layer, {"": bits})
    return layer


def test_the_example_of_figure_3() -> None:
    layer = shared_layer(FIGURE_3, 2)
    centroids = layer.parametrizations.weight.original  # type: ignore[union-attr, index]
    assert centroids.tolist() == pytest.approx([-1.0, 0.0, 1.5, 2.0], abs=0.005)
    codes = torch.tensor([[3, 0, 2, 1], [1, 1, 0, 3], [0, 3, 1, 0], [3, 1, 2, 2]])
    assert torch.equal(layer.weight, centroids[codes])
    (layer.weight * GRADIENT).sum().backward()
    assert centroids.grad.tolist() == pytest.approx([-0.03, 0.04, 0.02, 0.04], abs=1e-6)
    tuned = (centroids - centroids.grad).tolist()
    assert tuned == pytest.approx([-0.97, -0.04, 1.48, 1.96], abs=0.005)


def test_a_centroids_gradient_is_the_sum_of_its_weights() -> None:
    """Eq. 3, in a pruned convolution, against the gradient of every weight by itself."""
    conv = nn.Conv2d(3, 8, 3)
    prune(conv, {"": 0.4})
    settle(conv)
    share_weights(conv, {"": 3})
    images = torch.randn(2, 3, 6, 6)
    conv(images).square().sum().backward()
    free = conv.weight.detach().clone().requires_grad_()
    F.conv2d(images, free, conv.bias).square().sum().backward()
    centroids = conv.parametrizations.weight.original  # type: ignore[union-attr, index]
    assert len(centroids) <= 8
    assert free.grad is not None
    for centroid, gradient in zip(centroids, centroids.grad, strict=True):
        members = free.detach() == centroid
        assert gradient.item() == pytest.approx(free.grad[members].sum().item(), rel=1e-4)


@pytest.mark.parametrize("start", ["linear", "density", "forgy"])
def test_clusters_are_those_of_scikit_learn(start: str) -> None:
    draw = np.random.default_rng(3)
    values = np.concatenate((draw.normal(-0.6, 0.2, 400), draw.normal(0.5, 0.1, 300)))
    begin = first_centroids(np.sort(values), 8, start, seed=5)  # type: ignore[arg-type]
    ours = k_means(values, 8, start=start, seed=5)  # type: ignore[arg-type]
    theirs = KMeans(8, init=begin[:, None], n_init=1, max_iter=1000, tol=0.0)
    theirs.fit(values[:, None])
    assert ours == pytest.approx(np.sort(theirs.cluster_centers_[:, 0]), abs=1e-9)
    error = np.square(values - ours[nearest(values, ours)]).sum()
    assert error == pytest.approx(theirs.inertia_)


def test_where_each_start_puts_its_centroids() -> None:
    """Fig. 4: evenly between the extremes, evenly by rank, or on values drawn."""
    rising = np.array([0.0, 1.0, 2.0, 3.0, 100.0])
    assert first_centroids(rising, 5, "linear", 0).tolist() == [0, 25, 50, 75, 100]
    assert first_centroids(rising, 2, "density", 0).tolist() == [1.0, 3.0]
    drawn = first_centroids(rising, 3, "forgy", 0).tolist()
    assert len(set(drawn)) == 3
    assert set(drawn) <= set(rising.tolist())


def test_few_weights_keep_their_values() -> None:
    weight = torch.tensor([[0.5, -0.25, 0.0], [0.5, 2.0, 0.0]])
    layer = shared_layer(weight, 8)
    assert torch.equal(layer.weight, weight)
    empty = shared_layer(torch.zeros(2, 2), 3)
    assert torch.equal(empty.weight, torch.zeros(2, 2))


def test_training_moves_the_values_and_keeps_them_shared() -> None:
    network = Plain()
    prune(network, {"0": 0.5, "3": 0.25})
    settle(network)
    zero = {name: layer.weight == 0 for name, layer in weighted_layers(network).items()}
    share_weights(network, {"0": 3, "3": 2})
    before = {name: layer.weight.clone() for name, layer in weighted_layers(network).items()}
    chosen = settings(optimizer=Sgd(lr=0.01, momentum=0.9))
    run(TrainingState(network, chosen, CPU), chosen, 8)
    settle(network)
    for (name, layer), most in zip(weighted_layers(network).items(), (8, 4), strict=True):
        assert torch.equal(layer.weight == 0, zero[name])
        assert 1 < len(layer.weight[~zero[name]].unique()) <= most
        assert not torch.equal(layer.weight, before[name])


@pytest.mark.parametrize("bits", [0, 9, -1])
def test_more_values_than_a_codebook_holds_are_refused(bits: int) -> None:
    with pytest.raises(UsageError, match="bits a weight"):
        share_weights(nn.Linear(4, 4), {"": bits})
