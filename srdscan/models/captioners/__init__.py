"""Captioners: the contract in `base`, one module a model family, `load.load_captioner` to get one."""
