"""The subcommands of ``saccade``."""
