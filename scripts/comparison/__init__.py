"""Association beside the methods that people would pick instead, for scripts/compare.py."""
