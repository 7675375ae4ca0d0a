"""srdscan audits image-caption datasets for backdoor poison.

    srdscan audit shards/ --captioner captioner-backdoored

Importing this package imports neither torch nor transformers.
"""

__version__: str


def __getattr__(name: str) -> str:
    """The version, looked up when it is asked for: the help answers without what reads the metadata of packages."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("srdscan")
    except PackageNotFoundError:  # a checkout that is not installed
        return "0+unknown"
