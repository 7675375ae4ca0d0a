"""`python -m srdscan.lab run EXPERIMENT.yaml`."""

from pathlib import Path

import typer

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Experiments that measure srdscan beside its peers.")


EXPERIMENT = typer.Argument(help="An experiment file, such as benchmarks/experiments/peers.yaml.")
TRAIN = typer.Option(help="Shards of photographs with captions, for victims; the last one calibrates.")
DEV = typer.Option(help="Other shards, with a list of human captions in each .json.")
WORK = typer.Option(Path("runs/lab"), help="Victims, copies and audits; kept from run to run.")
OUT = typer.Option(Path("benchmarks/results"), help="Tables and plots.")
PROCESSES = typer.Option(2, min=1, help="Jobs at a time.")


@app.callback()
def main() -> None:
    """Experiments that measure srdscan beside its peers."""


@app.command()
def run(
    experiment: Path = EXPERIMENT,
    train: str = TRAIN,
    dev: str = DEV,
    work: Path = WORK,
    out: Path = OUT,
    processes: int = PROCESSES,
) -> None:
    """Runs an experiment; what an earlier run has finished is not done again."""
    from srdscan.cli.errors import quiet_libraries

    quiet_libraries()
    from srdscan.lab.experiment import ExperimentError, read_experiment
    from srdscan.lab.jobs import Places
    from srdscan.lab.run import run as run_experiment

    try:
        chosen = read_experiment(experiment)
    except ExperimentError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    for path in run_experiment(chosen, Places(train, dev, work), out, processes, typer.echo):
        typer.echo(str(path))


if __name__ == "__main__":
    app()
