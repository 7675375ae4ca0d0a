"""From evidence to a verdict: `verdicts` combines p-values and holds the false-discovery rate; `fit` says whether the
models understand the data.
"""
