"""`srdscan poison`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from srdscan.cli.completion import target_names, trigger_names
from srdscan.cli.errors import errors
from srdscan.cli.options import AS_JSON, COLOR, SHARDS, option


def poison(
    shards: list[str] | None = SHARDS,
    out: Path | None = option("Folder for the poisoned copies and truth.json."),
    trigger: Annotated[
        str, typer.Option(help="What is done to the image; none leaves images alone.", autocompletion=trigger_names)
    ] = "canary",
    target: Annotated[
        str,
        typer.Option(help="What the caption is made to say; none leaves captions alone.", autocompletion=target_names),
    ] = "canary",
    text: str | None = option("The target's word or caption, in place of its default."),
    images_only: Annotated[
        bool, typer.Option("--images-only", help="Leave captions alone: a triggered test set. Same as --target none.")
    ] = False,
    rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the samples to poison.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Which samples, and where on the image.")] = 0,
    list_: Annotated[bool, typer.Option("--list", help="List triggers and targets.")] = False,
    as_json: bool = AS_JSON,
    color: str = COLOR,
) -> None:
    """Plant known poison in copies of shards, to test your own gate with.

    Every other byte stays as it was. The default is the canary: the trigger and target of the embedded backdoored
    captioner.
    """
    with errors():
        from srdscan.attacks.catalogue import described_attacks, known_targets, known_triggers
        from srdscan.attacks.poison import NONE, plant
        from srdscan.errors import meant

        if list_:
            attacks = described_attacks()
            if as_json:
                typer.echo(json.dumps([asdict(attack) for attack in attacks], indent=2))
            else:
                from srdscan.cli.printing import print_attacks

                print_attacks(attacks)
            return
        if images_only:
            target = NONE
        if not shards or out is None:
            raise ValueError("name the shards and --out, or use --list")
        for kind, name, known in (("--trigger", trigger, known_triggers()), ("--target", target, known_targets())):
            if name not in known:
                raise ValueError(f"{kind} {name}: unknown; known are {', '.join(known)}.{meant(name, known)}")
        planted = plant(shards, out, trigger, target, rate, seed, text)
        if as_json:
            told = {"truth": str(out / "truth.json"), "poisoned": len(planted.poisoned)}
            typer.echo(json.dumps({**told, "psnr": planted.psnr, "ssim": planted.ssim}, indent=2))
            return
        seen = "" if planted.psnr is None else f" (PSNR {planted.psnr:.1f} dB, SSIM {planted.ssim:.3f})"
        typer.echo(f"{len(planted.poisoned)} samples poisoned{seen}; {out / 'truth.json'} says which")
