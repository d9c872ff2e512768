"""A run: the training loop with its evaluations and warnings, pseudo-labels, comparisons."""
