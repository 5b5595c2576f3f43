"""The trainer: data, augmentation, network, training, evaluation, export, and an RQ worker around them.

The only room with torch. `python -m trainer --help` lists what it does from the command line.
"""
