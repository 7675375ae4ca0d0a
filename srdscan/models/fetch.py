"""What to do about a model that is not there, or not all of it: on the Hub's side, or on an air-gapped machine."""

import re
import struct
from pathlib import Path

from safetensors import SafetensorError

from srdscan.errors import meant

LOADING_ERRORS = (OSError, ValueError, LookupError, TypeError, RuntimeError, ImportError, struct.error, SafetensorError)
"""What the libraries raise for models whose files are missing, cut short, damaged or of another kind."""

NEEDED = (
    (("config.json",), "config.json"),
    (("*.safetensors",), "weights (*.safetensors)"),
    (("tokenizer.json", "vocab.*", "*.model"), "a tokenizer (tokenizer.json)"),
)
NAMES = ("embedded", "minilm")
"""What options call models that come with srdscan."""
PROCESSOR = (("*processor_config.json",), "an image processor (preprocessor_config.json or processor_config.json)")


def remedy(spec: str, images: bool = False) -> str:
    """One sentence or two: which files are missing and how to get them here.

    Args:
        spec: the folder, .gguf file or Hub id that could not be loaded.
        images: whether the model looks at images, and needs an image processor.
    """
    if is_gguf(spec):
        return _gguf_remedy(Path(spec))
    folder = Path(spec)
    if folder.is_file():
        return "That is a file, and no model folder. Pass the folder that holds config.json and model.safetensors."
    if not folder.is_dir():
        if near := meant(spec, NAMES):
            return f"There is no such folder.{near}"
        if _may_be_hub_id(spec):
            return (
                "There is no such folder, and the Hugging Face Hub did not give it. Where the Hub can be reached, run "
                f"`hf download {spec} --local-dir FOLDER`, copy FOLDER to this machine, and pass its path in place of "
                f"{spec}."
            )
        return (
            "There is no such folder. Check the path, or fetch the model: `hf download ID --local-dir FOLDER` where "
            "the Hugging Face Hub can be reached, then copy FOLDER to this machine and pass its path."
        )
    needed = (*NEEDED, *((PROCESSOR,) if images else ()))
    missing = [what for patterns, what in needed if not any(any(folder.glob(pattern)) for pattern in patterns)]
    pointer = next((path.name for path in sorted(folder.iterdir()) if _is_lfs_pointer(path)), None)
    if pointer is not None:
        return (
            f"{pointer} is a Git LFS pointer and not the file itself. Run `git lfs pull` where the folder was cloned, "
            "or download it: `hf download ID --local-dir FOLDER`."
        )
    if not missing:
        return (
            "The usual files are there; one of them or a subfolder may be missing in part, damaged, or of another "
            "model. Download the whole folder again: `hf download ID --local-dir FOLDER`."
        )
    pickled = sorted(path.name for path in folder.glob("*.bin"))
    advice = f"The folder lacks {', '.join(missing)}."
    if pickled and not any(folder.glob("*.safetensors")):
        return advice + (
            f" Its weights are pickled ({pickled[0]}), which srdscan never opens: a pickle can run code. Download a "
            "revision with safetensors, or convert them on a machine that you can lose."
        )
    return advice + " Download the whole folder: `hf download ID --local-dir FOLDER`."


def explain(spec: str, error: Exception, path: str | None = None, images: bool = False) -> str:
    """An error of a library, its first line, and the remedy.

    Args:
        spec: what the user asked for.
        error: what the library raised.
        path: the folder that `spec` stands for, where it names a model that comes with srdscan.
        images: as in `remedy`.
    """
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if isinstance(error, ImportError):
        advice = "Install the package that it names."
    elif path is not None and path != spec:
        advice = f"It comes with srdscan, in {path}. Install srdscan again."
    else:
        advice = remedy(spec, images)
    return f"{spec}: cannot be loaded: {first.rstrip('.')}. {advice}"


def _is_lfs_pointer(path: Path) -> bool:
    """Whether this is the small text that Git leaves in place of a large file."""
    if not path.is_file() or path.stat().st_size > 1024:
        return False
    return path.read_bytes().startswith(b"version https://git-lfs")


def is_gguf(spec: str) -> bool:
    """Whether this names a file in GGUF form."""
    return spec.lower().endswith(".gguf") and not Path(spec).is_dir()


def _gguf_remedy(path: Path) -> str:
    if not path.is_file():
        return (
            "There is no such file. Where the Hugging Face Hub can be reached, run "
            f"`hf download ID {path.name} --local-dir FOLDER`, copy FOLDER to this machine, and pass "
            f"FOLDER/{path.name}."
        )
    return (
        "The file may be cut short or damaged, or of an architecture that transformers does not read from GGUF. "
        "Download it again, or pass a folder with the same model in safetensors."
    )


def _may_be_hub_id(spec: str) -> bool:
    """Whether this looks like `owner/name` or `name`, and not like a path."""
    return re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", spec) is not None


class ModelError(Exception):
    """A model cannot be loaded; the message says what to do."""


def models_folder() -> Path:
    """Where the embedded models are: in the package when installed, at the project's top level in a checkout."""
    packed = Path(__file__).parents[1] / "weights"
    return packed if packed.is_dir() else Path(__file__).parents[2] / "models"
