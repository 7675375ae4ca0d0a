"""Read image-caption shards strictly: every sample is either yielded, or accounted for with a reason.

    for item in read_shard("shards/photos-000003.tar"):
        if isinstance(item, Irregular): ...

webdataset's own iterator is not used for reading: after a truncated tar it can pair one shard's image with
the next shard's caption, and a damaged header ends a shard in silence. Its naming rules are kept
(`members`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import BinaryIO

from srdscan.sources.base import Irregular, ReadOptions, Reason, Sample, ShardError
from srdscan.sources.tar.files import ShardFile, open_shard
from srdscan.sources.tar.members import Placed, place_members
from srdscan.sources.tar.walk import Member, walk_members


class _Unfit(Exception):
    """Leaves the checks of one sample as soon as one fails."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason: Reason = reason
        self.detail = detail


def read_shard(
    shard: str | os.PathLike[str] | ShardFile,
    options: ReadOptions = ReadOptions(),  # noqa: B008  it is frozen
) -> Iterator[Sample | Irregular]:
    """Yield every sample of one shard in order, those that cannot be audited as `Irregular`.

    A key that appears again further on makes the later sample irregular. Only the chosen image and caption
    are read into memory, after their sizes are checked; other members are skipped over.

    Args:
        shard: path, URL (downloaded first), or what `open_shard` yielded.
        options: names and limits.

    Raises:
        ShardError: the shard is damaged, after every sample that was complete before the damage. The sample
            that was open at that point, whose members may be missing, comes out as `damaged_shard` first.
    """
    if not isinstance(shard, ShardFile):
        with open_shard(shard) as opened:
            yield from read_shard(opened, options)
        return
    read = 0
    try:
        with open(shard.path, "rb") as file:
            for item in _read(file, shard, options):
                read += isinstance(item, Sample)
                yield item
    except ShardError as error:
        error.samples_read = read
        raise
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise ShardError(shard.location, problem, remedy="Check the disk.", samples_read=read) from error


def _read(file: BinaryIO, shard: ShardFile, options: ReadOptions) -> Iterator[Sample | Irregular]:
    seen: set[str] = set()
    group: list[Placed] = []
    strays: list[Irregular] = []  # those met while a group was open wait for it, to come out in order
    try:
        for placed in place_members(walk_members(file, shard.location)):
            if placed.index is None:
                continue
            if placed.stray:
                reason: Reason = "not_regular_file" if placed.member.safe else "unsafe_name"
                strays.append(Irregular(shard.name, placed.key, reason, placed.member.name, placed.index))
            elif group and placed.index != group[0].index:
                item = _judge(file, shard, group, seen, options)
                after, strays, group = strays, [], [placed]
                yield item
                yield from after
            else:
                if not group:
                    yield from strays
                    strays = []
                group.append(placed)
    except ShardError as error:
        if group:
            detail = error.problem if error.offset is None else f"{error.problem} at byte {error.offset}"
            yield Irregular(shard.name, group[0].key, "damaged_shard", detail, group[0].index or 0)
        yield from strays
        raise
    if group:
        yield _judge(file, shard, group, seen, options)
    yield from strays


def _judge(
    file: BinaryIO, shard: ShardFile, group: list[Placed], seen: set[str], options: ReadOptions
) -> Sample | Irregular:
    """Make a sample of a complete group, or say why not."""
    key, index = group[0].key, group[0].index or 0
    try:
        members = _checked(group, key in seen)
        image = _first(members, options.image_exts)
        if image is None:
            raise _Unfit("no_image", _missing(options.image_exts, members))
        if image.size > options.max_member_bytes:
            raise _Unfit("oversized_member", _too_large(image, options.max_member_bytes))
        caption = _first(members, options.caption_exts)
        if caption is None:
            raise _Unfit("no_caption", _missing(options.caption_exts, members))
        text = _caption(file, shard, caption, options)
        data = _content(file, shard, image)
        return Sample(shard.name, key, text, data, image.name, caption.name, index)
    except _Unfit as unfit:
        return Irregular(shard.name, key, unfit.reason, unfit.detail, index)
    finally:
        seen.add(key)


def _checked(group: list[Placed], key_seen: bool) -> dict[str, Member]:
    """The members of a group by extension, once it is sure that they are ordinary files."""
    members: dict[str, Member] = {}
    for placed in group:
        if not placed.member.safe:
            raise _Unfit("unsafe_name", placed.member.name)
        if placed.member.kind != "file":
            raise _Unfit("not_regular_file", placed.member.name)
    if key_seen:
        raise _Unfit("duplicate_key", f"{group[0].member.name} at byte {group[0].member.offset}")
    for placed in group:
        if placed.ext in members:
            raise _Unfit("duplicate_member", f"{members[placed.ext].name} and {placed.member.name}")
        members[placed.ext] = placed.member
    return members


def _caption(file: BinaryIO, shard: ShardFile, member: Member, options: ReadOptions) -> str:
    is_json = member.name.lower().endswith(".json")
    # a character takes at most four bytes of UTF-8, so more bytes than that need not be read
    limit = options.max_json_bytes if is_json else 4 * options.max_caption_chars
    if member.size > limit:
        raise _Unfit("oversized_member", _too_large(member, limit))
    try:
        text = _content(file, shard, member).decode("utf-8-sig")
        if is_json:
            text = _json_caption(text, member, options)
            text.encode()  # JSON can spell lone surrogates, which nothing downstream can store
    except UnicodeError as error:
        raise _Unfit("not_utf8", f"{member.name}: {error}") from error
    text = text.strip()
    if len(text) > options.max_caption_chars:
        raise _Unfit("oversized_member", f"{member.name}: caption of {len(text):,} characters")
    if not text:
        raise _Unfit("empty_caption", member.name)
    return text


def _json_caption(text: str, member: Member, options: ReadOptions) -> str:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Unfit("bad_json", f"{member.name}: {str(error)[:200]}") from error
    fields = document if isinstance(document, dict) else {}
    value = next((fields[name] for name in options.caption_fields if fields.get(name) is not None), None)
    if isinstance(value, list):
        value = value[0] if value else ""
    if not isinstance(value, str):
        raise _Unfit("no_caption_field", f"{member.name}: no text in {', '.join(options.caption_fields)}")
    return value


def _first(members: dict[str, Member], exts: tuple[str, ...]) -> Member | None:
    return next((members[ext] for ext in exts if ext in members), None)


def _missing(exts: tuple[str, ...], members: dict[str, Member]) -> str:
    return f"no {' '.join(exts)} among {' '.join(sorted(members)[:8])}"


def _too_large(member: Member, limit: int) -> str:
    return f"{member.name}: {member.size:,} bytes, more than the limit of {limit:,}"


def _content(file: BinaryIO, shard: ShardFile, member: Member) -> bytes:
    file.seek(member.data)
    data = file.read(member.size)
    if len(data) < member.size:
        problem = "shrank while it was read"
        raise ShardError(shard.location, problem, member.data, "Audit it when nothing writes to it.")
    return data
