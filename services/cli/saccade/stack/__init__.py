"""The embedded stack: every process of Saccade on this machine, started and kept alive by ``saccade up``."""
