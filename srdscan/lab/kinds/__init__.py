"""Kinds of experiment: a module each, with `work`, which does a job, and `tables` of all results."""

from srdscan.lab.kinds import clean, detection, retraining, sanitizing

KINDS = {"clean": clean, "detection": detection, "retraining": retraining, "sanitizing": sanitizing}
