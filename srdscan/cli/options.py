"""Options that several commands share, and how a command's options become its configuration."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import typer

from srdscan.cli.color import heed_color
from srdscan.cli.completion import captioner_names, of_choices, rule_codes, signal_names

C = TypeVar("C")

REPORTS = "sarif|junit|github|gitlab|attestation|checksums|croissant|card|removal-list|keep-list|datacomp|all"
FORMATS = "auto|webdataset|parquet|folder|metadata|coco|table|conversations"


def option(help: str, metavar: str | None = None) -> Any:
    """An optional option without a default of its own: the configuration's holds."""
    return _optional(help, metavar)


def several(help: str, metavar: str) -> Any:
    """An optional option that may be given several times."""
    return _optional(help, metavar)


def _optional(help: str, metavar: str | None, complete: Callable[..., Any] | None = None) -> Any:
    """One whose metavar lists choices completes to them."""
    if complete is None and metavar is not None and "|" in metavar:
        complete = of_choices(metavar)
    return typer.Option(None, help=help, metavar=metavar, show_default=False, autocompletion=complete)


def captioner_option(help: str) -> Any:
    """An optional option that names a captioner; completes to the embedded ones."""
    return _optional(help, None, captioner_names)


def codes_option(help: str) -> Any:
    """An optional option of codes of rules or their prefixes, which may be given several times."""
    return _optional(help, "CODE", rule_codes)


def signals_option(help: str) -> Any:
    """An optional option of signals of plug-ins, which may be given several times."""
    return _optional(help, "NAME", signal_names)


def flag(name: str, help: str) -> Any:
    """A switch that can be turned on, and that is left to the configuration otherwise."""
    return typer.Option(None, name, help=help, show_default=False)


SHARDS: Any = typer.Argument(
    None,
    metavar="DATA...",
    help="The data set: folders, globs, brace ranges such as 'x-{000000..000009}.tar', files, URLs.",
    show_default=False,
)
FORMAT = option("Form of the data set; what is there is looked at otherwise. [default: auto]", FORMATS)
IMAGES = option("Folder of the images that an annotation file names, where it is not the file's own.")
IMAGE_COLUMN = option("Column or field that holds the image. [default: the usual names]")
CAPTION_COLUMN: Any = typer.Option(
    None,
    help="Column or field that holds captions; may be given several times. [default: caption, captions, text]",
    show_default=False,
)
TXT = option("A text file holds a caption a line, or is one as a whole. [default: lines]", "lines|whole")
REFERENCE = captioner_option("Trusted captioner. [default: captioner (embedded)]")
MATCHER = option(
    "A CLIP or SigLIP, folder or Hub id, that tells whether caption and image belong together, beside what the data "
    "set's own pairs teach. [default: embedded]"
)
SENTENCE_ENCODER = option("Folder or Hub id. [default: minilm (all-MiniLM-L6-v2, packaged)]")
LANGUAGE_MODEL = option("Folder, Hub id or .gguf file of a causal language model. [default: embedded]")
DEVICE = option("auto, cpu, cuda, cuda:1, mps. [default: auto]")
NUM_BEAMS = option("Beam width of the captioners. [default: each model's own]")
PROMPT = option("What the captioner is asked, or the words its captions go on from. [default: its family's own]")
REFERENCE_PROMPT = option("The same for the reference.")
SEED = option("Of everything random. [default: 0]")
MANNERS = ("quiet", "verbose", "as_json", "color")
"""Options that say how a command speaks; no configuration holds them."""
QUIET: Any = typer.Option(False, "--quiet", "-q", help="Print the verdict alone.")
VERBOSE: Any = typer.Option(False, "--verbose", "-v", help="Say what is being done, a line each: for the log of a CI.")
AS_JSON: Any = typer.Option(False, "--json", help="Print JSON and nothing else.")
COLOR: Any = typer.Option(
    "auto",
    "--color",
    metavar="auto|always|never",
    help="Colour what is printed: on a terminal, always or never. NO_COLOR is heeded, too.",
    callback=heed_color,
    autocompletion=of_choices("auto|always|never"),
    show_default=False,
)
CONFIG = option("YAML file with any of these options; the command line wins.")


def settings(cls: type[C], context: typer.Context) -> C:
    """A command's configuration: its options by name, over those of --config.

    A zero is a value and wins over the file; only what was left out (None, or no shards at all) does not.

    Raises:
        ConfigError: an option is unknown or wrong.
    """
    from srdscan.config import load_config

    params = {name: value for name, value in context.params.items() if name not in MANNERS}
    given = {name: value for name, value in params.items() if value not in (None, [], ())}
    path = given.pop("config", None)
    if signals := given.pop("signal", None):
        given["signals"] = signals
    if columns := given.pop("caption_column", None):
        given["caption_fields"] = columns
    return load_config(cls, path and Path(path), given)


@contextmanager
def uploaded(params: dict[str, Any], names: Sequence[str]) -> Iterator[dict[str, str]]:
    """Puts a local folder in the place of each option that is a URL, which is uploaded to it at the end.

    Yields:
        Option -> URL, without credentials.

    Raises:
        ConfigError: a URL that cannot be written to, or that holds what another wrote.
    """
    from srdscan.sources.output import output_folder
    from srdscan.sources.where import is_remote, redacted

    with ExitStack() as stack:
        found: dict[str, str] = {}
        for name in names:
            target = params.get(name)
            if isinstance(target, str) and is_remote(target):
                work = sorted((item for item in params.items() if item[0] not in MANNERS), key=str)
                run = hashlib.sha256(repr(work).encode()).hexdigest()
                params[name] = str(stack.enter_context(output_folder(target, run)))
                found[name] = redacted(target)
        yield found
