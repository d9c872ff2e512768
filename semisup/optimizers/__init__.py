"""Optimizers, learning rates, and loss weights that change with the training step.

    rate = semisup.optimizers.cosine_with_warmup(3e-3, total_steps=1000, warmup_steps=125)
    model.compile(semisup.optimizers.Muon(rate))

All are Keras optimizers and schedules, and are saved with a model. Modules:

    muon         Muon, for the matrices of hidden layers
    freezing     a backbone that is trained from a later step on, and Adam for it
    schedules    values of the step: Envelope (loss weights), StepDecay, cosine_with_warmup
    ema          the moving average of the weights
"""

from semisup.optimizers.freezing import LateAdam
from semisup.optimizers.muon import Muon
from semisup.optimizers.schedules import Envelope, StepDecay, cosine_with_warmup

__all__ = ["Envelope", "LateAdam", "Muon", "StepDecay", "cosine_with_warmup"]
