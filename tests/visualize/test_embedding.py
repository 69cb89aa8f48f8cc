"""Features, projections and neighbours against scikit-learn, numpy and the papers' definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch import Tensor, nn

from convnets.errors import UnknownName, UsageError
from convnets.models import FAMILIES, create_model
from convnets.visualize.embedding import (
    classifier,
    conditional_probabilities,
    embed,
    joint_probabilities,
    leave_one_out,
    nearest,
    principal_components,
    project,
    tsne_gradient,
)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    return images[:600], labels[:600]


# Features


def test_features_are_what_the_last_linear_layer_takes() -> None:
    network = create_model("resnet20", num_classes=10)
    images = torch.randn(10, 3, 32, 32)
    told = []
    picture = embed(network, images.split(4), progress=lambda *n: told.append(n))
    with torch.no_grad():
        expected = network.eval().forward_features(images).mean((2, 3))
    assert picture.axes == ("image", "channel")
    assert picture.about == "features at the input of head.fc"
    np.testing.assert_allclose(picture.values, expected, atol=1e-5)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_named_layer_is_averaged_over_its_places() -> None:
    network = create_model("resnet20").train()
    images = torch.randn(6, 3, 32, 32)
    picture = embed(network, [(images, torch.zeros(6))], "features.stage1")
    assert network.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    maps = network.eval().forward_intermediates(images, ["features.stage1"])["features.stage1"]
    np.testing.assert_allclose(picture.values, maps.detach().mean((2, 3)), atol=1e-5)
    with pytest.raises(UnknownName):
        embed(network, [images], "stage1")
    with pytest.raises(UsageError, match="no images"):
        embed(network, [])


def test_features_survive_layers_that_work_in_place() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Identity(), nn.ReLU(inplace=True), nn.Linear(4, 2))
    images = torch.randn(3, 1, 2, 2)
    picture = embed(network, [images.clone()])
    np.testing.assert_array_equal(picture.values, images.flatten(1).relu())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_has_features(family) -> None:  # type: ignore[no-untyped-def]
    network = family.network(family.pocket, num_classes=10)
    picture = embed(network, [torch.randn(2, network.in_chans, 32, 32)])
    assert picture.values.shape[0] == 2
    if family.name not in ("capsnet", "lenet"):  # whose last layers are of their own kinds
        last = network.get_submodule(classifier(network, torch.randn(1, network.in_chans, 32, 32)))
        assert 10 in (getattr(last, "out_features", 0), getattr(last, "out_channels", 0))
        assert picture.values.shape[1] == last.weight.shape[1]


def test_a_network_with_no_layer_to_choose() -> None:
    with pytest.raises(UsageError, match="name the layer"):
        embed(nn.Flatten(), [torch.zeros(1, 1, 2, 2)])


# Principal components


def test_principal_components_are_scikit_learns(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, _ = digits
    points, shares = principal_components(torch.from_numpy(images), 5)
    reference = PCA(5, svd_solver="full")
    # Signs too: scikit-learn's convention is the same.
    np.testing.assert_allclose(points, reference.fit_transform(images), atol=1e-9)
    np.testing.assert_allclose(shares, reference.explained_variance_ratio_)


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(2, 12), columns=st.integers(2, 12), seed=st.integers(0, 99))
def test_principal_components_are_eigenvectors(rows: int, columns: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(rows, columns))
    found, shares = principal_components(torch.from_numpy(points), 2)
    variances = np.linalg.eigvalsh(np.cov(points, rowvar=False, bias=True))[::-1]
    np.testing.assert_allclose(found.numpy().var(0), variances[:2], atol=1e-9)
    np.testing.assert_allclose(shares, (variances / variances.sum())[:2], atol=1e-9)


def test_a_picture_of_components(digits: tuple[np.ndarray, np.ndarray]) -> None:
    picture = project(digits[0], "pca")
    assert picture.axes == ("image", "channel")
    assert picture.values.shape == (600, 2)
    first, second = PCA(2).fit(digits[0]).explained_variance_ratio_
    assert f"{first:.0%} and {second:.0%}" in picture.about
    with pytest.raises(UnknownName, match="umap"):
        project(digits[0], "umap")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="fewer than 2 components"):
        project(np.zeros((5, 1)), "pca")


# t-SNE


@pytest.mark.parametrize("perplexity", [2, 5, 30, 200])
def test_each_row_has_the_perplexity_asked_for(
    digits: tuple[np.ndarray, np.ndarray], perplexity: float
) -> None:
    points = torch.from_numpy(digits[0])
    rows = torch.cat([conditional_probabilities(points, i, perplexity) for i in (0, 512)]).numpy()
    assert rows.shape == (600, 600)
    np.testing.assert_array_equal(np.diag(rows), 0)
    np.testing.assert_allclose(rows.sum(1), 1)
    entropy = -(rows * np.log2(rows, where=rows > 0, out=np.zeros_like(rows))).sum(1)
    np.testing.assert_allclose(2**entropy, perplexity, rtol=1e-6)
    # Eq. 1: log p_j|i falls linearly with the squared distance.
    squares = ((digits[0][3] - digits[0]) ** 2).sum(1)
    seen = rows[3] > 1e-12
    line = np.polyfit(squares[seen], np.log(rows[3][seen]), 1)
    np.testing.assert_allclose(np.polyval(line, squares[seen]), np.log(rows[3][seen]), atol=1e-6)


def test_joint_probabilities_are_a_symmetric_distribution() -> None:
    together = joint_probabilities(torch.randn(40, 3, dtype=torch.float64), 10).numpy()
    np.testing.assert_array_equal(together, together.T)
    assert together.sum() == pytest.approx(1)
    assert (together.sum(1) > 1 / 80).all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("far", [1.0, 1e3])
def test_perplexity_holds_at_any_scale(scale: float, far: float) -> None:
    points = scale * torch.randn(50, 4, dtype=torch.float64)
    points[0] *= far
    rows = conditional_probabilities(points, 0, 7)
    entropy = -torch.special.xlogy(rows, rows).sum(1)
    torch.testing.assert_close(entropy.exp(), torch.full((50,), 7.0, dtype=torch.float64))


def test_equal_points_share_evenly() -> None:
    points = torch.cat((torch.zeros(20, 3), torch.eye(3) * 9)).double()
    rows = conditional_probabilities(points, 0, 5)
    np.testing.assert_allclose(rows[0, 1:20], 1 / 19, atol=1e-6)
    everywhere = conditional_probabilities(torch.zeros(10, 2, dtype=torch.float64), 0, 3)
    np.testing.assert_allclose(everywhere.sum(1), 1)


def kl_divergence(together: Tensor, plane: Tensor) -> float:
    """What t-SNE lowers, with the q of Eq. 4, term by term."""
    n = len(plane)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    near = {(i, j): 1 / (1 + float((plane[i] - plane[j]).square().sum())) for i, j in pairs}
    total = sum(near.values())
    return sum(
        float(together[pair]) * np.log(float(together[pair]) * total / near[pair]) for pair in pairs
    )


def test_the_gradient_is_that_of_the_divergence() -> None:
    together = joint_probabilities(torch.randn(8, 3, dtype=torch.float64), 3)
    plane = torch.randn(8, 2, dtype=torch.float64)
    gradient = tsne_gradient(together, plane)
    step = 1e-5
    for i in range(8):
        for axis in range(2):
            moved = torch.zeros_like(plane)
            moved[i, axis] = step
            rise = kl_divergence(together, plane + moved) - kl_divergence(together, plane - moved)
            assert float(gradient[i, axis]) == pytest.approx(rise / (2 * step), abs=1e-8)


def test_neighbours_stay_together_as_in_scikit_learn(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    images, labels = digits
    told = []
    picture = project(images, "tsne", steps=500, progress=lambda *n: told.append(n))
    reference = TSNE(method="exact", max_iter=500, init="random", random_state=0)
    theirs = reference.fit_transform(images)
    ours = trustworthiness(images, picture.values, n_neighbors=10)
    assert ours > trustworthiness(images, theirs, n_neighbors=10) - 0.01
    assert ours > 0.97
    assert leave_one_out(picture, labels) > leave_one_out(theirs, labels) - 0.02
    # The Kullback-Leibler divergence reached, and theirs.
    together = joint_probabilities(torch.from_numpy(images), 30).numpy()
    squares = ((picture.values[:, None] - picture.values) ** 2).sum(2, dtype=np.float64)
    near = 1 / (1 + squares)
    np.fill_diagonal(near, 0)
    apart = (together > 0) & (near > 0)
    q = near / near.sum()
    reached = (together[apart] * np.log(together[apart] / q[apart])).sum()
    assert reached < reference.kl_divergence_ + 0.05
    assert told[-1] == (500, 500)


def test_the_seed_decides_and_the_centre_is_zero() -> None:
    points = np.random.default_rng(0).normal(size=(30, 4))
    first, again, other = (
        project(points, "tsne", perplexity=5, steps=20, seed=seed).values for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4
    np.testing.assert_allclose(first.mean(0), 0, atol=1e-5)


@pytest.mark.parametrize("perplexity", [1, 29, 40, float("nan")])
def test_perplexities_that_cannot_be(perplexity: float) -> None:
    with pytest.raises(UsageError, match="between 1 and 29"):
        project(np.eye(30), "tsne", perplexity=perplexity)


def test_numbers_of_points_that_cannot_be() -> None:
    for count in (2, 10_001):
        with pytest.raises(UsageError, match="3 to 10000 points"):
            project(np.zeros((count, 2)), "tsne")


# Neighbours


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("queries", [None, 50])
def test_neighbours_are_scikit_learns(
    digits: tuple[np.ndarray, np.ndarray], metric: str, queries: int | None
) -> None:
    images = digits[0] + np.random.default_rng(0).normal(size=digits[0].shape)  # no ties
    asking = None if queries is None else images[:queries] + 0.5
    reference = NearestNeighbors(n_neighbors=7, metric=metric, algorithm="brute").fit(images)
    distances, indices = reference.kneighbors(asking)
    found = nearest(images, asking, 7, metric)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, atol=1e-6)


def test_leaving_one_out_is_scikit_learns(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits[0][:200], digits[1][:200]
    for k in (1, 3):
        reference = KNeighborsClassifier(k, weights=lambda away: 1 + 1e-6 / (1 + away))
        expected = cross_val_score(reference, images, labels, cv=LeaveOneOut()).mean()
        assert leave_one_out(images, labels, k) == pytest.approx(expected)


def test_votes_that_tie_go_to_the_nearest() -> None:
    line = np.array([0, 1, 2.5, 5, 9])[:, None]
    labels = [1, 1, 0, 0, 1]
    # With four neighbours 0, 1 and 9 see two of each class, the nearest being 1, 0 and 5; for 2.5
    # and 5 three of the four are of class 1.
    elected = [1, 1, 1, 1, 0]
    assert leave_one_out(line, labels, k=4) == np.mean(np.equal(elected, labels))


def test_features_that_cannot_be_compared() -> None:
    features = np.eye(4)
    with pytest.raises(UsageError, match="k is 4; there are 3"):
        nearest(features, None, 4)
    with pytest.raises(UsageError, match="3 channels, features 4"):
        nearest(features, np.zeros((2, 3)), 1)
    with pytest.raises(UnknownName, match="manhattan"):
        nearest(features, None, 1, "manhattan")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"\(images, channels\)"):
        nearest(np.zeros(4), None, 1)
    features[2, 1] = np.inf
    with pytest.raises(UsageError, match="image 2 are not finite"):
        project(features)
