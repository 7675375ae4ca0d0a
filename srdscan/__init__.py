"""srdscan audits image-caption datasets for backdoor poison.

    srdscan audit shards/ --captioner captioner-backdoored

Importing this package imports neither torch nor transformers.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("srdscan")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"
