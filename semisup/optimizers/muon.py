"""Muon: orthogonalised updates for the matrices of hidden layers. Needs fewer steps than Adam."""

from typing import Any

import keras
from keras import ops

from semisup.errors import InputError
from semisup.optimizers.freezing import LateAdam

Tensor = Any

# The layer of an `AssociativeModel` that is not hidden: Adam's, as in Jordan et al.
_OUTSIDE = "classifier"

# The quintic of Jordan et al.: applied five times, it brings singular values in (0, 1] near 1.
_QUINTIC, _TIMES = (3.4445, -4.7750, 2.0315), 5

# The root mean square of Adam's step over its learning rate, roughly (Liu et al., "Muon is
# scalable for LLM training", 2025): with it, learning rates mean the same to both.
_STEP = 0.2


@keras.saving.register_keras_serializable(package="semisup")
class Muon(LateAdam):
    """Muon for the hidden layers, convolutions too; Adam for all else.

    Muon makes the step of a weight matrix orthogonal: equally far along every direction in which
    there is a gradient, not mostly along the few that dominate it (Jordan et al., "Muon: An
    optimizer for hidden layers in neural networks", 2024). The kernel of a convolution [height,
    width, in, out] is a matrix [height * width * in, out]. Adam updates all else: variables that
    are not called kernel (biases, scales, embeddings), kernels of one column such as those of
    depthwise convolutions with one output for each channel, kernels of other than two or four
    dimensions (Conv1D, attention), and the kernel of a layer called "classifier".

    Keras's own Muon leaves convolutions to Adam, and Keras 3.12, the last one for Python 3.10,
    has it in another form.

    Args:
        learning_rate: a number or a schedule. On MNIST the walk collapsed at 1e-2.
        momentum: of the matrices, in [0, 1).
        options: as those of `LateAdam`, thus of keras.optimizers.Adam too. Late matrices need no
            correction: their momentum is zero until they are trained. `beta_1`, `beta_2`, `epsilon`
            and `amsgrad` are for Adam's variables only.

    Raises:
        InputError: the momentum is not in [0, 1).

    Examples:
        >>> model = semisup.AssociativeModel(semisup.mnist_model(), num_classes=10)
        >>> model.compile(semisup.Muon(3e-3))
    """

    def __init__(self, learning_rate: Any = 3e-3, momentum: float = 0.95, **options: Any):
        super().__init__(learning_rate, **options)
        if not 0 <= momentum < 1:
            raise InputError(f"`momentum` is {momentum}; it must be in [0, 1)")
        self.momentum = momentum

    def build(self, variables: list[keras.Variable]) -> None:
        super().build(variables)
        self.of_hidden_layer = tuple(map(_is_of_hidden_layer, variables))

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        if not self.of_hidden_layer[index]:
            super().update_step(gradient, variable, learning_rate)
            return
        moving = self._momentums[index]
        self.assign(moving, self.momentum * moving + gradient)
        ahead = ops.reshape(gradient + self.momentum * moving, [-1, variable.shape[-1]])
        step = _STEP * max(ahead.shape) ** 0.5 * orthogonal(ahead)
        self.assign_sub(variable, learning_rate * ops.reshape(step, variable.shape))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum}


def _is_of_hidden_layer(variable: keras.Variable) -> bool:
    layer, name = ("", *variable.path.split("/"))[-2:]
    is_matrix = len(variable.shape) in (2, 4) and variable.shape[-1] > 1
    is_kernel = name.endswith("kernel") and not name.startswith("depthwise")
    return is_matrix and is_kernel and layer != _OUTSIDE


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearly orthogonal matrix U V^T of a matrix U S V^T: singular values brought near 1.

    By Newton and Schulz's iteration, which needs matrix products only. The singular values of
    the result are between 0.7 and 1.2, except those that were below about a thousandth of the
    norm.

    Args:
        matrix: float32 [rows, columns].

    Returns:
        float32 [rows, columns].
    """
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = ops.transpose(matrix) if tall else matrix
    x = x / (ops.norm(x) + 1e-7)
    for _ in range(_TIMES):
        square = ops.matmul(x, ops.transpose(x))
        x = a * x + ops.matmul(b * square + c * ops.matmul(square, square), x)
    return ops.transpose(x) if tall else x
