"""The runner: jobs in parallel, results that are kept, tables and plots of them."""

import json
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from srdscan.lab.experiment import Experiment
from srdscan.lab.jobs import Job, Places, Result, made_with
from srdscan.measure.state import replace_text

Log = Callable[[str], None]


def run(experiment: Experiment, places: Places, out: Path, processes: int = 1, log: Log = print) -> list[Path]:
    """Does what is not done yet, and writes tables and plots.

    A result is kept in `places.work` and not made again while experiment, photographs and version are the same.

    Args:
        processes: jobs at a time; each gets its share of the processor's cores, one alone what OMP_NUM_THREADS says.

    Returns:
        The files written, in `out`: tables, plots, and what they were made of and with. Each single figure is in the
        result.json of a job's folder in `places.work`.
    """
    from srdscan.lab.kinds import KINDS

    jobs: list[Job] = KINDS[experiment.kind].jobs(experiment, places)
    results: dict[str, Result] = {}
    if processes == 1:
        for job in jobs:
            log(f"{job.name} ...")
            results[job.row] = work(job)
    else:
        threads = max(1, (os.cpu_count() or 1) // processes)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, spawn, initializer=_share_cores, initargs=(threads,)) as pool:
            running = {pool.submit(work, job): job for job in jobs}
            for number, future in enumerate(as_completed(running), 1):
                results[running[future].row] = future.result()
                log(f"{number} of {len(jobs)}: {running[future].name}")
    ordered = {job.row: results[job.row] for job in jobs}
    written = []
    for table in KINDS[experiment.kind].tables(ordered):
        table.name = table.name if table.name == experiment.name else f"{experiment.name}-{table.name}"
        table.write(out)
        written += [out / f"{table.name}.{kind}" for kind in ("md", "csv", "json")]
    made = {name: {key: result[key] for key in ("identity", "made with")} for name, result in ordered.items()}
    record = {"experiment": experiment.name, "tables made with": made_with(), "results": made}
    path = out / f"{experiment.name}-provenance.json"
    replace_text(path, json.dumps(record, indent=1) + "\n")
    from srdscan.lab.plots import PLOTS

    if experiment.kind in PLOTS:
        written += PLOTS[experiment.kind](ordered, out, experiment.name)
    return [*written, path]


def work(job: Job) -> Result:
    """One job, in whatever process."""
    from srdscan.lab.kinds import KINDS

    return job.run(KINDS[job.experiment.kind].work)


def _share_cores(threads: int) -> None:
    """Before torch is imported in a process: more threads than cores make everything several times slower."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
