"""The command line: flags made of the settings, and what all programs do at their start and end."""
