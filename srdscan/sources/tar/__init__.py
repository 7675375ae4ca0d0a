"""WebDataset shards: strict reading and byte-preserving writing.

files.py    folders, globs, brace ranges and URLs -> shards to open
tar.py      one strict walk over a tar's members, damage noticed
members.py  which member belongs to which sample (webdataset's naming rules)
read.py     members -> samples, or the reason why not
edit.py     new captions and images for members
write.py    a copy with edits, every other byte as it was
"""

from srdscan.sources.base import Irregular, ReadOptions, Reason, Sample, ShardError
from srdscan.sources.tar.files import ShardFile, ShardSpecError, expand_shards, fingerprint, open_shard, shard_name
from srdscan.sources.tar.read import read_shard
from srdscan.sources.tar.write import DROP, Edit, SampleEdit, extract_samples, rewrite_shard

__all__ = [
    "DROP",
    "Edit",
    "Irregular",
    "ReadOptions",
    "Reason",
    "Sample",
    "SampleEdit",
    "ShardError",
    "ShardFile",
    "ShardSpecError",
    "expand_shards",
    "extract_samples",
    "fingerprint",
    "open_shard",
    "read_shard",
    "rewrite_shard",
    "shard_name",
]
