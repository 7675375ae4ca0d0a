"""Read image-caption shards strictly: every sample is either yielded, or accounted for with a reason.

    for item in read_shard("shards/photos-000003.tar"):
        if isinstance(item, Irregular): ...

webdataset's own iterator is not used for reading: after a truncated tar it can pair one shard's image with
the next shard's caption, and a damaged header ends a shard in silence. Its naming rules are kept
(`members`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from srdscan.sources.base import Caption, ImageFile, Irregular, ReadOptions, Reason, Sample, ShardError
from srdscan.sources.captions import Told, Unfit, captions_of_file, gather
from srdscan.sources.tar.files import ShardFile, open_shard
from srdscan.sources.tar.members import Placed, place_members
from srdscan.sources.tar.walk import Member, walk_members
from srdscan.sources.uid import uid_in_json, uid_of


def read_shard(
    shard: str | os.PathLike[str] | ShardFile,
    options: ReadOptions = ReadOptions(),  # noqa: B008  it is frozen
) -> Iterator[Sample | Irregular]:
    """Yield every sample of one shard in order, those that cannot be audited as `Irregular`.

    A sample is all its images and all its captions. What of it cannot be read comes before it, as a `partial`
    `Irregular`. A key that appears again further on makes the later sample irregular. Only images and captions are
    read into memory, after their sizes are checked; other members are skipped over.

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
                if placed.unread:
                    strays.append(Irregular(shard.name, placed.member.name, "no_sample", "a name without a dot"))
                continue
            if placed.stray:
                reason: Reason = "not_regular_file" if placed.member.safe else "unsafe_name"
                strays.append(Irregular(shard.name, placed.key, reason, placed.member.name, placed.index))
            elif group and placed.index != group[0].index:
                yield from _judge(file, shard, group, seen, options)
                yield from strays
                strays, group = [], [placed]
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
        yield from _judge(file, shard, group, seen, options)
    yield from strays


def _judge(
    file: BinaryIO, shard: ShardFile, group: list[Placed], seen: set[str], options: ReadOptions
) -> Iterator[Sample | Irregular]:
    """Make a sample of a complete group, with what of it cannot be read, or say why not."""
    key, index = group[0].key, group[0].index or 0
    problems: list[Unfit] = []
    lost = 1
    try:
        members = _checked(group, key in seen)
        lost = _hidden_samples(group, members, options)
        images = _images(file, shard, members, options, problems)
        captions = _captions(file, shard, members, options, problems)
    except Unfit as unfit:
        yield Irregular(shard.name, key, unfit.reason, unfit.detail, index, samples=lost)
        return
    finally:
        seen.add(key)
    for problem in problems:
        yield Irregular(shard.name, key, problem.reason, problem.detail, index, partial=True)
    yield Sample(shard.name, key, images, captions, index, _uid(file, shard, key, members, options))


def _checked(group: list[Placed], key_seen: bool) -> dict[str, Member]:
    """The members of a group by extension, once it is sure that they are ordinary files."""
    members: dict[str, Member] = {}
    for placed in group:
        if not placed.member.safe:
            raise Unfit("unsafe_name", placed.member.name)
        if placed.member.kind != "file":
            raise Unfit("not_regular_file", placed.member.name)
    if key_seen:
        raise Unfit("duplicate_key", f"{group[0].member.name} at byte {group[0].member.offset}")
    for placed in group:
        if placed.ext in members:
            raise Unfit("duplicate_member", f"{members[placed.ext].name} and {placed.member.name}")
        members[placed.ext] = placed.member
    return members


def _hidden_samples(group: list[Placed], members: dict[str, Member], options: ReadOptions) -> int:
    """How many samples a group stands for: several photographs of dotted names collapse into one key."""
    pictures = [placed for placed in group if placed.ext.endswith(options.image_exts)]
    if len(pictures) > 1 and not any(ext in members for ext in options.image_exts):
        return len(pictures)
    return 1


def _images(
    file: BinaryIO, shard: ShardFile, members: dict[str, Member], options: ReadOptions, problems: list[Unfit]
) -> tuple[ImageFile, ...]:
    found = [member for ext, member in members.items() if ext in options.image_exts]
    if not found:
        pictures = [ext for ext in members if ext.endswith(options.image_exts)]
        if len(pictures) > 1:
            raise Unfit(
                "collapsed_keys",
                f"{len(pictures)} images share this key, which ends at the first dot of a name: "
                f"{' '.join(member.name for member in list(members.values())[:4])}",
            )
        raise Unfit("no_image", _missing(options.image_exts, members))
    images = []
    for member in found:
        if member.size > options.max_member_bytes:
            problems.append(Unfit("oversized_member", _too_large(member, options.max_member_bytes)))
        else:
            images.append(ImageFile(member.name, _content(file, shard, member)))
    if not images:
        raise problems[0]
    return tuple(images)


def _captions(
    file: BinaryIO, shard: ShardFile, members: dict[str, Member], options: ReadOptions, problems: list[Unfit]
) -> tuple[Caption, ...]:
    found = [(ext, member) for ext, member in members.items() if ext in options.caption_exts]
    if not found:
        raise Unfit("no_caption", _missing(options.caption_exts, members))
    texts: list[Told] = []
    silent: list[Unfit] = []
    for ext, member in found:
        limit = options.max_json_bytes if ext == ".json" else 4 * options.max_caption_chars
        if ext != ".json" and options.txt == "lines":
            limit = options.max_json_bytes
        if member.size > limit:
            problems.append(Unfit("oversized_member", _too_large(member, limit)))
            continue
        try:
            told, unfit = captions_of_file(_content(file, shard, member), member.name, ext, options)
        except Unfit as error:
            # a .json beside a caption is often about something else
            (silent if error.reason == "no_caption_field" else problems).append(error)
            continue
        texts += told
        problems += unfit
    if not texts:
        raise (*problems, *silent)[0]
    return gather(texts)


def _uid(file: BinaryIO, shard: ShardFile, key: str, members: dict[str, Member], options: ReadOptions) -> str:
    """Of the .json, as img2dataset writes it, or the key."""
    member = members.get(".json")
    if member is None or member.size > options.max_json_bytes:
        return uid_of(key)
    return uid_of(uid_in_json(_content(file, shard, member)), key)


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
