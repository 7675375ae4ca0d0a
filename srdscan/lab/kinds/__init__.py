"""Kinds of experiment, a module each: `jobs` says what is to be done, `work` does a job, `tables` shows all results."""

from srdscan.lab.kinds import clean, detection, limits, policy, retraining, sanitizing, worlds

KINDS = {
    "clean": clean,
    "detection": detection,
    "limits": limits,
    "policy": policy,
    "retraining": retraining,
    "sanitizing": sanitizing,
    "worlds": worlds,
}
