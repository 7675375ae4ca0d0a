"""WebDataset shards: strict reading and byte-preserving writing.

files.py    folders, globs, brace ranges and URLs -> shards to open
walk.py     one strict walk over a tar's members, damage noticed
members.py  which member belongs to which sample (webdataset's naming rules)
read.py     members -> samples, or the reason why not
write.py    a copy with edits, every other byte as it was
source.py   all of it as a source
"""

from srdscan.sources.tar.files import ShardFile, expand_shards, fingerprint, open_shard, shard_name
from srdscan.sources.tar.read import read_shard
from srdscan.sources.tar.source import TarSource
from srdscan.sources.tar.write import DROP, MemberEdits, extract_samples, rewrite_shard

__all__ = [
    "DROP",
    "MemberEdits",
    "ShardFile",
    "TarSource",
    "expand_shards",
    "extract_samples",
    "fingerprint",
    "open_shard",
    "read_shard",
    "rewrite_shard",
    "shard_name",
]
