"""Searches the hyper-parameters of a training; every trial is a training of its own, on whichever worker is free."""
