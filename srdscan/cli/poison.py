"""`srdscan poison`."""

from pathlib import Path
from typing import Annotated

import typer

from srdscan.cli.errors import errors
from srdscan.cli.options import SHARDS, option


def poison(
    shards: list[str] | None = SHARDS,
    out: Path | None = option("Folder for the poisoned copies and truth.json."),
    trigger: Annotated[str, typer.Option(help="What is done to the image; none leaves images alone.")] = "canary",
    target: Annotated[
        str, typer.Option(help="What the caption is made to say; none leaves captions alone.")
    ] = "canary",
    text: str | None = option("The target's word or caption, in place of its default."),
    images_only: Annotated[
        bool, typer.Option("--images-only", help="Leave captions alone: a triggered test set. Same as --target none.")
    ] = False,
    rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the samples to poison.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Which samples, and where on the image.")] = 0,
    list_: Annotated[bool, typer.Option("--list", help="List triggers and targets.")] = False,
) -> None:
    """Plant known poison in copies of shards, to test your own gate with.

    Every other byte stays as it was. The default is the canary: the trigger and target of the embedded backdoored
    captioner.
    """
    with errors():
        from srdscan.attacks.poison import CANARY, NONE, SHADOWCAST, plant
        from srdscan.attacks.targets import TARGETS
        from srdscan.attacks.triggers import TRIGGERS

        triggers, targets = [CANARY, *TRIGGERS, SHADOWCAST, NONE], [CANARY, *TARGETS, NONE]
        if list_:
            from srdscan.cli.printing import print_attacks

            print_attacks()
            return
        if images_only:
            target = NONE
        if not shards or out is None:
            raise ValueError("name the shards and --out, or use --list")
        for kind, name, known in (("--trigger", trigger, triggers), ("--target", target, targets)):
            if name not in known:
                raise ValueError(f"{kind} {name}: unknown; known are {', '.join(known)}")
        planted = plant(shards, out, trigger, target, rate, seed, text)
        seen = "" if planted.psnr is None else f" (PSNR {planted.psnr:.1f} dB, SSIM {planted.ssim:.3f})"
        typer.echo(f"{len(planted.poisoned)} samples poisoned{seen}; {out / 'truth.json'} says which")
