"""Captioners of one's own: from `package.module:Class` to one that is held to the contract while it works."""

import importlib
import inspect
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from srdscan.models.captioners.base import Captioner, Description, Floats
from srdscan.models.captioners.check import ContractError, check_description, check_encoding, check_log_probs
from srdscan.models.device import is_out_of_memory
from srdscan.models.fetch import ModelError

METHODS = ("encode", "describe", "score")
FINGERPRINTS = ("fingerprint", "encoder_fingerprint")
LOOK = (
    'srdscan calls Class(device="cpu"), or Class() where it takes no device; the object has the methods encode, '
    "describe and score, and the texts fingerprint and encoder_fingerprint (see srdscan/models/captioners/base.py)"
)


def load_own(spec: str, device: str) -> Captioner:
    """Imports and makes a captioner.

    Args:
        spec: `package.module:Class`; in place of a class also a function that makes a captioner, or a captioner.
        device: a torch device.

    Raises:
        ModelError: it cannot be imported or made, or lacks a part of the contract.
    """
    module_name, _, name = spec.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"{spec}: cannot be imported: {error}. Is it on PYTHONPATH?") from error
    except Exception as error:
        raise ModelError(f"{spec}: cannot be imported: {_told(error)}") from error
    return held(spec, found, device)


def held(spec: str, found: Any, device: str) -> Captioner:
    """What was named, made, and held to the contract while it works.

    Args:
        spec: how it was named.
        found: a class, a function that makes a captioner, or a captioner.
        device: a torch device.

    Raises:
        ModelError: it cannot be made, or lacks a part of the contract.
    """
    from srdscan.models.captioners.huggingface import HuggingFaceCaptioner

    captioner = _made(spec, found, device)
    missing = [method for method in METHODS if not callable(getattr(captioner, method, None))]
    missing += [name for name in FINGERPRINTS if not _is_text(getattr(captioner, name, None))]
    if missing:
        raise ModelError(f"{spec}: lacks {', '.join(missing)}: {LOOK}")
    if isinstance(captioner, HuggingFaceCaptioner):  # its encodings, maps and scores are made here
        captioner.name = spec
        return captioner
    return Own(spec, captioner)


class Own:
    """A captioner of the user's, whose answers are looked at before anything is made of them.

    Attributes:
        name: how it was asked for.
        inner: the captioner itself.
        fingerprint: its own.
        encoder_fingerprint: its own.
    """

    def __init__(self, name: str, inner: Any) -> None:
        self.name, self.inner = name, inner
        self.fingerprint: str = inner.fingerprint
        self.encoder_fingerprint: str = inner.encoder_fingerprint
        self._shapes: dict[str, tuple[int, ...] | None] = {}

    def encode(self, images: Sequence[Image.Image]) -> Any:
        """As the captioner does.

        Raises:
            ModelError: it raised something, or its answer breaks the contract; so in the methods below.
        """
        encoding = self._call("encode", images)
        self._hold(lambda: check_encoding(encoding, len(images)))
        self._same("features", tuple(np.shape(encoding.features)[1:]))
        return encoding

    def describe(self, encoding: Any, *, attention: bool = False) -> Description:
        """As the captioner does."""
        described = self._call("describe", encoding, attention=attention)
        self._hold(lambda: check_description(described, len(encoding)))
        if attention:
            maps = described.attention
            self._same("attention maps", None if maps is None else tuple(maps.first.shape[1:]))
        return Description(list(described.captions), list(described.log_probs), described.attention)

    def score(self, encoding: Any, captions: Sequence[str]) -> list[Floats]:
        """As the captioner does."""
        scores = self._call("score", encoding, captions)
        self._hold(lambda: check_log_probs(scores, len(captions), "score"))
        return list(scores)

    def _call(self, method: str, *values: Any, **options: Any) -> Any:
        try:
            return getattr(self.inner, method)(*values, **options)
        except ModelError:
            raise
        except Exception as error:
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                raise  # whoever called takes fewer images
            raise ModelError(f"{self.name}: {method} failed: {_told(error)}") from error

    def _hold(self, check: Callable[[], None]) -> None:
        try:
            check()
        except ContractError as error:
            self._broken(str(error), error)
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            self._broken(_told(error), error)

    def _same(self, what: str, shape: tuple[int, ...] | None) -> None:
        if self._shapes.setdefault(what, shape) != shape:
            self._broken(f"its {what} are {shape} an image, and were {self._shapes[what]} in the batch before")

    def _broken(self, clause: str, cause: Exception | None = None) -> NoReturn:
        raise ModelError(
            f"{self.name}: does not keep the contract of captioners: {clause}. "
            "Check it with srdscan.models.captioners.check.check_captioner."
        ) from cause


def _made(spec: str, found: Any, device: str) -> Any:
    """The captioner that a class or function makes; anything else is one already."""
    if not callable(found) or (not inspect.isclass(found) and hasattr(found, "encode")):
        return found
    options = {"device": device} if _takes_device(found) else {}
    called = f"{spec.rpartition(':')[2]}({', '.join(f'{name}={value!r}' for name, value in options.items())})"
    try:
        return found(**options)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{spec}: {called} failed: {_told(error)}. {LOOK}") from error


def _takes_device(factory: Callable[..., Any]) -> bool:
    """Whether it can be called with a device by name."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # of compiled classes
        return True
    given = parameters.get("device")
    if given is not None:
        return given.kind is not inspect.Parameter.POSITIONAL_ONLY
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())


def _told(error: Exception) -> str:
    """An error in one line: what, and where it was raised."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{': ' + first.rstrip('.') if first else ''}{place}"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
