"""The paper's tables as runs: what they consist of, running them, reporting them."""
