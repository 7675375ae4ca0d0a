"""`srdscan evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from srdscan.cli.errors import errors
from srdscan.cli.options import AS_JSON, COLOR


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of an audit (its --out).", show_default=False)],
    truth: Annotated[Path, typer.Option(help="truth.json, as `srdscan poison` writes it.", show_default=False)],
    as_json: bool = AS_JSON,
    color: str = COLOR,
) -> None:
    """Compare an audit with known poison: precision, recall, F1, AUROC, PR-AUC.

    Plant poison in a copy of your shards with `srdscan poison`, audit the copy, and see what your gate
    would have found.
    """
    with errors():
        from srdscan.evaluate import evaluate as run_evaluate

        result = run_evaluate(run, truth)
        if as_json:
            typer.echo(result.to_json(), nl=False)
        else:
            from srdscan.cli.printing import print_evaluation

            print_evaluation(result)
