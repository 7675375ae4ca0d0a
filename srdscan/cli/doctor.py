"""`srdscan doctor`."""

from typing import Annotated

import typer

from srdscan.cli.errors import INCOMPLETE, errors, quiet_libraries
from srdscan.cli.options import (
    AS_JSON,
    COLOR,
    DEVICE,
    LANGUAGE_MODEL,
    MATCHER,
    REFERENCE,
    SENTENCE_ENCODER,
    captioner_option,
)


def doctor(
    captioner: str | None = captioner_option("Captioner to try: a folder, a Hub id or package.module:Class."),
    reference: str | None = REFERENCE,
    matcher: str | None = MATCHER,
    sentence_encoder: str | None = SENTENCE_ENCODER,
    language_model: str | None = LANGUAGE_MODEL,
    device: str | None = DEVICE,
    speed: Annotated[bool, typer.Option("--speed/--no-speed", help="Time the embedded captioner for 10 s.")] = True,
    as_json: bool = AS_JSON,
    color: str = COLOR,
) -> None:
    """Check that an audit can run here: versions, device, models, speed.

    Models are loaded for real, so that a missing file shows now and not after an hour. Exits 3 if one cannot be loaded,
    and says what to fetch.
    """
    with errors():
        quiet_libraries()
        from srdscan.doctor import diagnose

        found = diagnose(
            captioner,
            reference,
            sentence_encoder or "minilm",
            language_model or "embedded",
            device or "auto",
            speed,
            matcher or "embedded",
        )
        if as_json:
            typer.echo(found.to_json(), nl=False)
        else:
            from srdscan.cli.printing import print_diagnosis

            print_diagnosis(found)
    raise typer.Exit(0 if found.healthy else INCOMPLETE)
