"""`python -m srdscan.lab run EXPERIMENT.yaml`."""

from pathlib import Path

import typer

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Experiments that measure srdscan beside its peers.")


EXPERIMENT = typer.Argument(help="An experiment file, such as benchmarks/experiments/peers.yaml.")
TRAIN = typer.Option("", help="Shards of photographs with captions, for victims; the last one calibrates.")
DEV = typer.Option("", help="Other shards, with a list of human captions in each .json.")
WORLDS = typer.Option(help="NAME=PATH of a data set, where an experiment audits several.", default_factory=list)
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
    world: list[str] = WORLDS,
    work: Path = WORK,
    out: Path = OUT,
    processes: int = PROCESSES,
) -> None:
    """Runs an experiment; what an earlier run has finished is not done again."""
    from srdscan.cli.errors import quiet_libraries

    quiet_libraries()
    from srdscan.lab.experiment import OF_WORLDS, ExperimentError, read_experiment
    from srdscan.lab.jobs import Places
    from srdscan.lab.run import run as run_experiment

    try:
        chosen = read_experiment(experiment)
    except ExperimentError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    worlds = dict(item.partition("=")[::2] for item in world)
    missing = not worlds if chosen.kind in OF_WORLDS else not (train and dev)
    if missing or not all(worlds.values()):
        needed = "--world NAME=PATH" if chosen.kind in OF_WORLDS else "--train and --dev"
        typer.echo(f"error: {experiment}: a {chosen.kind} experiment needs {needed}", err=True)
        raise typer.Exit(2)
    for path in run_experiment(chosen, Places(train, dev, work, worlds), out, processes, typer.echo):
        typer.echo(str(path))


if __name__ == "__main__":
    app()
