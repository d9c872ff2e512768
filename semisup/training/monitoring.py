"""Signs in a run's losses that the method does not work on this data, and what to try.

The thresholds lie well outside of what runs that ended well have shown: batches of 100
labelled and 100 unlabelled images, in which the walk visited more than half of the
unlabelled ones, and the visit loss came within 0.5 of its least.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

# Of the unlabelled samples, the share that a walk must visit.
FEWEST_VISITED = 0.1

# Nats of the visit loss above its least.
LARGEST_EXCESS = 0.5

# Nats between a walk's losses and those of one whose steps are all equally likely.
UNIFORM = 0.02


def signs(
    logs: Mapping[str, float], labelled: int, unlabelled: int, progress: float, classes: int
) -> Iterator[tuple[str, str]]:
    """What is wrong with the walks: a word for it, and a line that says what to try.

    Args:
        logs: means over some steps, as `AssociativeModel` reports them.
        labelled: samples of A in a batch.
        unlabelled: samples of B in a batch.
        progress: how far the run is, from 0 to 1. Much is allowed at the beginning.
        classes: of A. Of one alone, no round trip can go wrong, and its losses say nothing.
    """
    visited = math.exp(logs["visit_entropy"])
    if progress >= 0.25 and visited < FEWEST_VISITED * unlabelled:
        yield (
            "few",
            f"the walker has collapsed: it visits some {visited:.0f} of {unlabelled} unlabelled "
            "images; try a larger --visit_weight, a lower --learning_rate or --similarity=cosine",
        )
    if (
        progress >= 0.25
        and classes > 1
        and logs["walker_loss"] > math.log(labelled) - UNIFORM
        and logs["visit_entropy"] > math.log(unlabelled) - UNIFORM
    ):
        yield (
            "alike",
            "the walker has collapsed: all its steps are equally likely, so all embeddings are "
            "alike; try a lower --learning_rate, or a walker that sets in slowly "
            "(--walker_weight_envelope=linear --walker_weight_envelope_steps=N)",
        )
    excess = logs["visit_loss"] - math.log(unlabelled)
    if progress >= 0.5 and excess > LARGEST_EXCESS:
        yield (
            "visits",
            f"the visit loss stays {excess:.1f} above its least, which it can't reach if there "
            "are unlabelled images of classes without labels; label some of them, try a smaller "
            "--visit_weight, or --virtual_embeddings=N",
        )


def missing_classes(names: Sequence[str]) -> str:
    """The line for classes of which no image is labelled."""
    return (
        f"no image of {', '.join(names)} is labelled: the visit loss draws their unlabelled "
        "images to other classes; try a smaller --visit_weight, or --virtual_embeddings=N"
    )
