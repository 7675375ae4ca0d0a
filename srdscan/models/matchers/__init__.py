"""Matchers: the contract in `base`, the embedded one, CLIP and its kin, `load.load_matcher` to get one."""
