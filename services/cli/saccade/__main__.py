"""``python -m saccade``."""

from saccade.main import main

main()
