"""From what a user writes after --captioner or --reference to a captioner."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path

from srdscan.errors import ConfigError, meant
from srdscan.models.captioners.base import Captioner
from srdscan.models.captioners.own import held, load_own
from srdscan.models.fetch import LOADING_ERRORS, ModelError, explain, models_folder, remedy
from srdscan.plugins import Plugin, find_plugins

FAMILIES: dict[str, str] = {
    "blip": "srdscan.models.captioners.blip",
    "blip-2": "srdscan.models.captioners.blip2",
    "florence2": "srdscan.models.captioners.florence2",
    "git": "srdscan.models.captioners.git",
    "idefics3": "srdscan.models.captioners.idefics3",
    "llava": "srdscan.models.captioners.llava",
    "smolvlm": "srdscan.models.captioners.idefics3",
    "vision-encoder-decoder": "srdscan.models.captioners.vision_encoder_decoder",
}
"""`config.model_type` -> module with a `load(path, **options)`."""

EMBEDDED = ("captioner", "captioner-backdoored")


def resolve_model(spec: str) -> str:
    """The folder of an embedded captioner; any other folder or Hub id as it is."""
    return str(models_folder() / spec) if spec in EMBEDDED and not Path(spec).exists() else spec


def _plugged(spec: str) -> Plugin | None:
    """The plug-in of that name; None for an embedded captioner, a folder or a Hub id.

    Raises:
        ConfigError: it is almost the name of an embedded captioner or a plug-in.
    """
    if "/" in spec or spec in EMBEDDED or Path(spec).exists():
        return None
    plugins = find_plugins("captioners", EMBEDDED)
    if spec not in plugins and (near := meant(spec, (*EMBEDDED, *plugins))):
        raise ConfigError(f"{spec}: there is no such captioner.{near}")
    return plugins.get(spec)


def load_captioner(
    spec: str, device: str = "cpu", num_beams: int | None = None, prompt: str | None = None
) -> Captioner:
    """Loads a captioner.

    Args:
        spec: `captioner` or `captioner-backdoored` (embedded), the name of a plug-in, a folder, a Hub id, or
            `package.module:Class`.
        device: a torch device.
        num_beams: beam width; None takes the model's own.
        prompt: what the model is asked, or the words that its captions go on from; None takes the family's own.

    Raises:
        ConfigError: the name of an embedded one, misspelled.
        ModelError: nothing of that name, a family srdscan does not know, or weights that cannot be read.
    """
    if ":" in spec and not Path(spec).exists():
        return load_own(spec, device)
    if (plugin := _plugged(spec)) is not None:
        return held(spec, plugin.load(), device)
    path = resolve_model(spec)
    module = FAMILIES.get(model_type(path))
    if module is None:
        known = ", ".join(sorted(FAMILIES))
        raise ModelError(
            f"{spec}: model type {model_type(path)!r} is not one srdscan can read attention from ({known}). "
            "Wrap it in a class of your own and pass package.module:Class (see srdscan/models/captioners/base.py)."
        )
    load: Callable[..., Captioner] = importlib.import_module(module).load
    try:
        captioner = load(path, device=device, num_beams=num_beams, prompt=prompt)
    except LOADING_ERRORS as error:
        raise ModelError(explain(spec, error, path, images=True)) from error
    captioner.name = spec
    return captioner


def model_type(path: str) -> str:
    """`model_type` of a folder's or Hub model's config.json.

    Raises:
        ModelError: there is no such config.
    """
    if Path(path).is_dir():
        if (Path(path) / "adapter_config.json").is_file() and not (Path(path) / "config.json").is_file():
            raise ModelError(
                f"{path}: this is a LoRA adapter, and no whole model. Merge it into its base first (peft: "
                "`model.merge_and_unload().save_pretrained(FOLDER)`), add tokenizer and processor, and pass FOLDER."
            )
        try:
            return str(json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))["model_type"])
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"{path}: no config.json with a model_type; is this a Hugging Face model folder?"
            ) from error
    if Path(path).is_file():
        raise ModelError(f"{path}: {remedy(path)}")
    from transformers import AutoConfig

    try:
        return str(AutoConfig.from_pretrained(path).model_type)
    except (OSError, ValueError) as error:
        raise ModelError(explain(path, error, images=True)) from error
