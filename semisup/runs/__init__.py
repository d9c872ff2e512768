"""A run's folder: its paths and records, checkpoints, whole files and the lock."""
