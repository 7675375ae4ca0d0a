"""New members for a sample: captions with other words, images with other pixels, the rest of each as it was."""

import io
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from srdscan.sources.base import ReadOptions, Sample
from srdscan.sources.tar.files import ShardFile
from srdscan.sources.tar.read import read_shard


def caption_members(shard: ShardFile, wanted: Collection[int], options: ReadOptions) -> dict[int, dict[str, bytes]]:
    """The members that may hold a caption, by sample and extension: a sample can have a .txt and a .json."""
    members: dict[int, dict[str, bytes]] = defaultdict(dict)
    limit = max(options.max_json_bytes, 4 * options.max_caption_chars)
    for extension in options.caption_exts:
        # The reader hands over one member of a sample as it is, the "image".
        for item in read_shard(shard, replace(options, image_exts=(extension,), max_member_bytes=limit)):
            if isinstance(item, Sample) and item.index in wanted:
                members[item.index][extension] = item.image
    return members


def captions_in(data: bytes, extension: str, fields: Sequence[str]) -> list[str]:
    """All captions that a caption member holds, without surrounding white space; none if it is damaged."""
    found: list[str] = []

    def note(caption: str) -> str:
        found.append(caption.strip())
        return caption

    edit_caption(data, extension, fields, note)
    return [caption for caption in found if caption]


def edit_caption(
    data: bytes, extension: str, fields: Sequence[str], edit: Callable[[str], str], once: bool = False
) -> bytes | None:
    """A caption member with every caption in it edited, the rest of a JSON document kept; None if it holds none.

    Args:
        data: content of the member.
        extension: `.json`, or that of a text file.
        fields: of a JSON document that may hold the caption; the first that is there is edited.
        edit: caption -> caption.
        once: of a list of captions, keep equal ones only once.
    """
    try:
        text = data.decode("utf-8-sig")
        if extension != ".json":
            return edit(text).encode()
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    field = next((f for f in fields if document.get(f) is not None), "") if isinstance(document, dict) else ""
    if not field:
        return None
    value = document[field]
    if isinstance(value, list):
        edited = [edit(item) if isinstance(item, str) and item.strip() else item for item in value]
        document[field] = [item for n, item in enumerate(edited) if not once or item not in edited[:n]]
    elif isinstance(value, str):
        document[field] = edit(value)
    return json.dumps(document).encode()


def encode_image(pixels: npt.NDArray[np.uint8], extension: str) -> bytes:
    """(H, W, 3) pixels as a file of the format that the extension names; JPEG for unknown ones.

    JPEG's usual halving of the colour channels is left out: it takes colour patterns away, and with them some triggers.
    """
    form = {".png": "PNG", ".webp": "WEBP"}.get(extension, "JPEG")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, quality=95, **({"subsampling": 0} if form == "JPEG" else {}))
    return buffer.getvalue()
