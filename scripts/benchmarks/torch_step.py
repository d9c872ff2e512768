"""The same step in PyTorch, written plainly: eager and compiled, float32 and bfloat16."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from benchmarks.timing import timed

# Convolutions of each network, block by block; each block ends in a max pooling.
_BLOCKS = {
    "mnist": ((32, 32), (64, 64), (128, 128)),
    "svhn": ((32, 32, 32), (64, 64, 64), (128, 128, 128)),
}
_L2 = {"mnist": 1e-3, "svhn": 1e-4}


def build(name: str, shape: tuple[int, int, int]) -> tuple[nn.Sequential, nn.Linear]:
    """The network from images [batch, C, H, W] to embeddings, and the classifier on it."""
    layers: list[nn.Module] = []
    channels, side = shape[2], shape[0]
    for block in _BLOCKS[name]:
        for filters in block:
            layers += [nn.Conv2d(channels, filters, 3, padding="same"), nn.ELU()]
            channels = filters
        layers.append(nn.MaxPool2d(2))
        side //= 2
    layers += [nn.Flatten(), nn.Linear(channels * side * side, 128), nn.ELU()]
    return nn.Sequential(*layers), nn.Linear(128, 10)


def turns(
    name: str, shape: tuple[int, int, int], steps: int, policies: Sequence[str]
) -> dict[str, Callable[[], dict[str, list[float]]]]:
    """A turn of so many steps for each variant in each of Keras's dtype policies, on a batch
    that is there."""
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.random((200, shape[2], *shape[:2]), dtype=np.float32))
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(100) % 10
    same = (labels[:, None] == labels[None, :]).float()
    T = same / same.sum(1, keepdim=True)

    def make(compiled: bool, half: bool) -> Callable[[], None]:
        torch.manual_seed(0)
        network, classifier = build(name, shape)
        network = network.to(memory_format=torch.channels_last)
        weights = [*network.parameters(), *classifier.parameters()]
        optimizer = torch.optim.Adam(weights, 1e-3)

        def compute_loss(images: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                embeddings = network(images)
            A, B = embeddings.float().split(100)
            M = A @ B.T
            P_ab, P_ba = M.softmax(1), M.T.softmax(1)
            walker = -(T * (1e-8 + P_ab @ P_ba).log()).sum(1).mean()
            visit = -(1e-8 + P_ab.mean(0)).log().mean()
            classification = nn.functional.cross_entropy(classifier(A), labels)
            l2 = sum(w.square().sum() for w in weights if w.ndim > 1) * (_L2[name] / 2)
            return walker + visit + classification + l2

        loss = torch.compile(compute_loss) if compiled else compute_loss

        def step() -> None:
            optimizer.zero_grad()
            loss(images).backward()
            optimizer.step()

        step()
        step()
        return step

    def turn_of(kind: str, step: Callable[[], None]) -> Callable[[], dict[str, list[float]]]:
        def turn() -> dict[str, list[float]]:
            times: list[float] = []
            for _ in range(steps):
                with timed(times):
                    step()
            return {kind: times}

        return turn

    kinds = {
        f"torch {how} {policy.removeprefix('mixed_')}": make(
            how == "compiled", policy == "mixed_bfloat16"
        )
        for how in ("eager", "compiled")
        for policy in policies
    }
    return {kind: turn_of(kind, step) for kind, step in kinds.items()}
