"""Experiments: victims, metrics, peers."""
