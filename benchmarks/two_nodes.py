"""Training on two machines, each a network namespace of this one: is its loss curve that of one machine?

    uv run --extra train benchmarks/two_nodes.py ../shared/data/pennfudan/data.yaml

One process trains with the whole batch, then two do with half of it each, connected by a virtual cable and nothing
else, all from the shipped weights. `--unplug` then pulls the cable in the middle of a run and measures how soon both
machines say so; the run is gone on with, and has to end with the weights of the undisturbed one. Needs Linux, root, and
iproute2.
"""

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.ticker import MaxNLocator

from yolact import checkpoint
from yolact.data.source import DataConfig

ADDRESSES = ("10.201.77.1", "10.201.77.2")
CABLE = "cable"
PORT = 29500

RECIPE = ("--batchnorm", "frozen", "--gradient-clip", "10", "--validate-every", "1000", "--pictures", "0")
RECIPE += ("--save-every", "5", "--workers", "1", "--device", "cpu")
"""Batch norm's statistics are of each process's own images, and would differ. The rest makes it quick."""


@dataclass(frozen=True)
class Machine:
    namespace: str
    address: str

    def run(self, *command: str) -> str:
        within = ["ip", "netns", "exec", self.namespace, *command]
        return subprocess.run(within, check=True, capture_output=True, text=True).stdout

    def train(self, *arguments: str) -> "subprocess.Popen[str]":
        meeting = ["--torchrun.machines", "2", "--torchrun.meet", f"{ADDRESSES[0]}:{PORT}"]
        command = ["ip", "netns", "exec", self.namespace, sys.executable, "-m", "yolact", "train", *arguments]
        return subprocess.Popen(
            [*command, *meeting, "--torchrun.local-address", self.address],
            env=os.environ | {"GLOO_SOCKET_IFNAME": CABLE},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def sent(self) -> int:
        """Bytes that have left by the cable."""
        (link,) = json.loads(self.run("ip", "-json", "-statistics", "link", "show", CABLE))
        return link["stats64"]["tx"]["bytes"]


@contextmanager
def two_machines() -> Iterator[tuple[Machine, Machine]]:
    """Two namespaces with a cable between them, gone afterwards with all that runs in them."""
    names = [f"yolact-{os.getpid()}-{letter}" for letter in "ab"]
    made: list[str] = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
        ends = ["type", "veth", "peer", "name", CABLE, "netns", names[1]]
        ip("link", "add", CABLE, "netns", names[0], *ends)
        for name, address in zip(names, ADDRESSES, strict=True):
            ip("-netns", name, "address", "add", f"{address}/24", "dev", CABLE)
            for device in ("lo", CABLE):
                ip("-netns", name, "link", "set", device, "up")
        first, second = map(Machine, names, ADDRESSES)
        yield first, second
    finally:
        for name in made:
            running = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout
            for process in map(int, running.split()):
                os.kill(process, signal.SIGKILL)
            ip("netns", "delete", name)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def why_not() -> str | None:
    """What this needs and is not there."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "namespaces take root"
    if shutil.which("ip") is None:
        return "there is no command ip; Debian has it in iproute2"
    probe = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True)
    return f"ip netns list: {probe.stderr.strip()}" if probe.returncode else None


def subset(data: Path, folder: Path, images: int) -> Path:
    """The first training images alone, and all for validation; an epoch of one step has each step logged."""
    config = DataConfig.read(data)
    source, val = config.train[0], config.val
    content = json.loads(source.annotations.read_text())
    content["images"] = content["images"][:images]
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in kept]
    (folder / "train.json").write_text(json.dumps(content))
    sources = {"train": {"images": str(source.images.resolve()), "annotations": "train.json"}}
    if val is not None:
        sources["val"] = {"images": str(val.images.resolve()), "annotations": str(val.annotations.resolve())}
    (folder / "data.yaml").write_text(json.dumps(sources))  # which is YAML, too
    return folder / "data.yaml"


def shipped(side: int) -> list[str]:
    """To start from the shipped weights, for a square input: random ones are chaotic, and hide what is compared."""
    weights = Path(checkpoint.__file__).parent / "weights" / f"{checkpoint.SHIPPED}.safetensors"
    config = checkpoint.load(weights).config.at_size((side, side))
    words: list[object] = ["--init", weights, "--preset", config.name, "--image-size", side, side]
    words += ["--anchor-scales", *(scale for level in config.anchor_scales for scale in level)]
    return list(map(str, [*words, "--anchor-ratios", *config.anchor_ratios]))


def rows(out: Path) -> list[dict[str, str]]:
    files = sorted(out.glob("csv/*/metrics.csv"))
    return [row for file in files for row in csv.DictReader(file.read_text().splitlines())]


def curve(out: Path, name: str = "loss") -> np.ndarray:
    """Of a run, the losses of its steps, or another figure that it has logged."""
    return np.array([float(row[name]) for row in rows(out) if row.get(name)])


def wait(machines: list["subprocess.Popen[str]"], code: int) -> list[str]:
    said = [machine.communicate()[0] for machine in machines]
    for machine, text in zip(machines, said, strict=True):
        if machine.returncode != code:
            sys.exit(f"a machine ended with {machine.returncode}, not {code}:\n{text[-3000:]}")
    return said


def largest_difference(one: Path, two: Path) -> float:
    """Between the last weights of two runs."""
    a, b = (checkpoint.load(out / "last.safetensors").state_dict() for out in (one, two))
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a if a[name].numel())


def compare(one: Path, two: Path, picture: Path | None) -> None:
    losses, shared = curve(one), curve(two)
    relative = np.abs(shared / losses - 1)
    print(f"\n{'step':>5}{'one machine':>15}{'two machines':>15}{'difference':>13}")
    for step, (a, b, difference) in enumerate(zip(losses, shared, relative, strict=True), 1):
        print(f"{step:>5}{a:>15.6f}{b:>15.6f}{difference:>13.1e}  {'*' * round(40 * a / losses.max())}")
    print(
        f"\nlargest difference of a loss: {relative.max():.1e} of it; of a weight: {largest_difference(one, two):.1e}"
    )
    for name in ("val/mask_AP50", "val/box_AR100"):
        if curve(one, name).size:
            print(f"{name}: {curve(one, name)[-1]:.6f} and {curve(two, name)[-1]:.6f}")
    if picture is not None:
        figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
        axes.plot(np.arange(1, len(losses) + 1), losses, linewidth=5, alpha=0.35, label="one machine")
        axes.plot(np.arange(1, len(shared) + 1), shared, linewidth=1.2, label="two machines, half the batch each")
        axes.set(xlabel="step", ylabel="loss")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
        figure.savefig(picture, dpi=140)
        print(f"curves: {picture}")


def unplug(machines: tuple[Machine, Machine], begin: list[str], out: Path, whole: Path, timeout: float) -> None:
    running = [machine.train(*begin, "--out", str(out), "--timeout", str(timeout)) for machine in machines]
    while not (out / "good.ckpt").exists():  # some steps are done
        time.sleep(0.1)
    ip("-netns", machines[0].namespace, "link", "set", CABLE, "down")
    pulled, said = time.monotonic(), []
    for process in running:
        said += [process.communicate()[0].strip().splitlines()[-1]]
        print(f"{time.monotonic() - pulled:.0f} s after the cable was pulled: {said[-1]}")
    ip("-netns", machines[0].namespace, "link", "set", CABLE, "up")
    wait([machine.train("--resume", str(out)) for machine in machines], 0)
    print(f"gone on with; largest difference to the undisturbed run: {largest_difference(whole, out):.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA.YAML")
    parser.add_argument("--size", type=int, default=256, help="of the network's input, in pixels")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4, help="images a step, of all machines together")
    parser.add_argument("--picture", type=Path, help="a PNG of both curves")
    parser.add_argument("--unplug", type=float, metavar="SECONDS", help="pull the cable, too; how long machines wait")
    options = parser.parse_args()
    reason = why_not()
    if reason is not None:
        print(f"skipped: {reason}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or the namespaces would stay
    os.environ["OMP_NUM_THREADS"] = str(max(torch.get_num_threads() // 2, 1))
    begin = [*shipped(options.size), *RECIPE, "--steps", str(options.steps), "--batch-size"]
    with tempfile.TemporaryDirectory() as folder, two_machines() as machines:
        one, two, disturbed = (Path(folder) / name for name in ("one", "two", "disturbed"))
        begin = [str(subset(options.data, Path(folder), 2 * options.batch - 1)), *begin]
        alone = [sys.executable, "-m", "yolact", "train", *begin, str(options.batch), "--out", str(one)]
        began = time.monotonic()
        subprocess.run(alone, check=True, stdout=subprocess.DEVNULL)
        print(f"one machine: {time.monotonic() - began:.0f} s", flush=True)
        half = [*begin, str(options.batch // 2)]
        began = time.monotonic()
        said = wait([machine.train(*half, "--out", str(two)) for machine in machines], 0)
        print(f"two machines: {time.monotonic() - began:.0f} s; the first says:\n{max(said, key=len).strip()}")
        sent = sum(machine.sent() for machine in machines) / 1e6
        print(f"over the cable, both ways: {sent:.0f} MB, {sent / options.steps:.1f} MB a step")
        compare(one, two, options.picture)
        if options.unplug is not None:
            unplug(machines, half, disturbed, two, options.unplug)


if __name__ == "__main__":
    main()
