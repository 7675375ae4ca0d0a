"""What to do about a model that is not there, or not all of it: on the Hub's side, or on an air-gapped machine."""

from pathlib import Path

NEEDED = (
    ("config.json", "config.json"),
    ("*.safetensors", "weights (*.safetensors)"),
    ("tokenizer*", "a tokenizer (tokenizer.json, tokenizer_config.json)"),
)
PROCESSOR = ("*processor_config.json", "an image processor (preprocessor_config.json or processor_config.json)")


def remedy(spec: str, images: bool = False) -> str:
    """One sentence or two: which files are missing and how to get them here.

    Args:
        spec: the folder or Hub id that could not be loaded.
        images: whether the model looks at images, and needs an image processor.
    """
    folder = Path(spec)
    if not folder.is_dir():
        patterns = " ".join(f"'{pattern}'" for pattern in ("*.json", "*.safetensors", "*.txt", "*.model"))
        return (
            f"There is no such folder, and the Hugging Face Hub did not give it. Where the Hub can be reached, run "
            f"`hf download {spec} --include {patterns} --local-dir FOLDER`, copy FOLDER to this machine, and pass its "
            f"path in place of {spec}."
        )
    missing = [what for pattern, what in (*NEEDED, *((PROCESSOR,) if images else ())) if not any(folder.glob(pattern))]
    if not missing:
        return "All files are there; one of them may be damaged or of another model. Download the folder again."
    pickled = sorted(path.name for path in folder.glob("*.bin"))
    advice = f"The folder lacks {', '.join(missing)}."
    if pickled and not any(folder.glob("*.safetensors")):
        advice += (
            f" Its weights are pickled ({pickled[0]}), which srdscan never opens: a pickle can run code. Download a "
            "revision with safetensors, or convert them on a machine that you can lose."
        )
    return advice


def explain(spec: str, error: Exception, images: bool = False) -> str:
    """An error of a library, its first line, and the remedy."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return f"{spec}: cannot be loaded: {first.rstrip('.')}. {remedy(spec, images)}"
