"""How good detections are: boxes and what they should have been, read from files, matched and measured.

``read_pair`` reads both files, ``measure`` gives average precision, ``confusion`` counts what is taken for what, and
``report`` draws and writes it.
"""
