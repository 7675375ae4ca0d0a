"""Kills an audit with two workers at random moments, a worker or the whole of it, and compares what it leaves.

    python benchmarks/kill.py --kills 50

Prints one line of JSON: how often who was killed, and whether report.json and samples.parquet are those of an audit in
one process that nobody disturbed.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from srdscan import scenes

ROOT = Path(__file__).parents[1]
COMPARED = ("report.json", "samples.parquet")


def start(shards: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    """An audit in a process of its own."""
    command = [sys.executable, "-m", "srdscan", "audit", str(shards), "--out", str(out), "--batch-size", "16",
               "--fail-on", "never", "--workers", str(workers)]  # fmt: skip
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def workers_of(pid: int) -> list[int]:
    """The worker processes of an audit; beside them there is one that keeps its books."""
    try:
        found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    except OSError:
        return []


def main() -> None:
    """Parses, runs, prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--shards", type=int, default=120, help="of drawn scenes")
    parser.add_argument("--size", type=int, default=16, help="scenes in a shard")
    parser.add_argument("--longest", type=float, default=8.0, help="seconds between two kills, at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator, killed = random.Random(options.seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        shards, calm, out = (Path(folder) / name for name in ("shards", "calm", "out"))
        shards.mkdir()
        scenes.write_shards(shards, options.size * options.shards, options.size, seed=options.seed)
        begun = time.monotonic()
        start(shards, calm, 1).wait()
        calm_seconds, begun = time.monotonic() - begun, time.monotonic()
        process = start(shards, out, 2)
        while process.poll() is None:
            if sum(killed.values()) >= options.kills:
                process.wait()
                break
            time.sleep(generator.uniform(0, options.longest))
            whole = generator.random() < 0.1
            victims = [process.pid] if whole else workers_of(process.pid)
            if not victims or (out / "report.json").exists():
                continue
            with suppress(ProcessLookupError):
                os.kill(generator.choice(victims), signal.SIGKILL)
                killed["audit" if whole else "worker"] += 1
            if whole:
                process.wait()
                process = start(shards, out, 2)
        seconds = time.monotonic() - begun
        same = {
            name: (calm / name).read_bytes().replace(bytes(calm), bytes(out)) == (out / name).read_bytes()
            for name in COMPARED
        }
        died = (out / "state" / "events.jsonl").read_text().count('"worker died"')
    print(json.dumps({"killed": killed, "deaths_seen": died, "exit_code": process.returncode, "same": same,
                      "seconds": round(seconds, 1), "seconds_undisturbed": round(calm_seconds, 1)}))  # fmt: skip
    sys.exit(not all(same.values()))


if __name__ == "__main__":
    main()
