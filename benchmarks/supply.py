"""What this package is made of: whether all of it is pinned, under which licenses it comes, what is known to be broken.

    uv run --all-extras --all-groups benchmarks/supply.py
    uv run --all-extras --all-groups benchmarks/supply.py --write docs/licenses.md

Counts the hashes in uv.lock, writes a table of licenses (pip-licenses; of packages without a statement the first line
of their license file), and looks each package up among known vulnerabilities (pip-audit). Ends with 1 if a package has
no hash or a known vulnerability, or could not be looked up.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- table by benchmarks/supply.py -->", "<!-- end of the table -->"

FAMILIES = {
    "GPL": r"(?<!L)GPL|GNU General",
    "LGPL": r"LGPL|Lesser",
    "MPL": r"MPL|Mozilla",
    "proprietary": r"[Pp]roprietary",
    "permissive": r"Apache|MIT|BSD|ISC|PSF|Python Software|Zlib|Unlicense|HPND|CC0|0BSD|Public Domain",
}
"""The first that a statement matches counts, so that what asks for most is seen."""

IN_FILES = {"Apache License": "Apache-2.0", "MIT License": "MIT", "NVIDIA": "NVIDIA Proprietary Software"}
STATED = {"cuda-toolkit": "NVIDIA Proprietary Software"}
"""Of packages that hold nothing themselves but what they ask for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="a page, whose table is replaced")
    parser.add_argument("--no-audit", action="store_true", help="look nothing up")
    arguments = parser.parse_args()
    packages = locked()
    bare = [name for name, files in packages.items() if not files or not all("hash" in file for file in files)]
    print(f"uv.lock: {len(packages)} packages, {sum(map(len, packages.values()))} files, {len(bare)} without hashes")
    table = license_table(packages)
    if arguments.write is None:
        print(table)
    else:
        text = arguments.write.read_text()
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        arguments.write.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")
    sound = not bare
    if not arguments.no_audit:
        audited, vulnerable, skipped = audit()
        print(f"pip-audit: {audited} packages looked up, {len(vulnerable)} vulnerabilities, {skipped} not found there")
        print("\n".join(vulnerable))
        sound = sound and audited > 0 and not vulnerable and not skipped
    sys.exit(0 if sound else 1)


def locked() -> dict[str, list[dict[str, Any]]]:
    """The files of each package in uv.lock, but for this one."""
    content = tomllib.loads((ROOT / "uv.lock").read_text())
    found: dict[str, list[dict[str, Any]]] = {}
    for package in content["package"]:
        if package["source"] != {"editable": "."}:
            files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
            found.setdefault(package["name"], []).extend(files)
    return dict(sorted(found.items()))


def license_table(packages: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: which part of this package needs each, and its license; a summary above."""
    command = [sys.executable, "-m", "piplicenses", "--from=mixed", "--format=json", "--with-system"]
    stated = {_plain(each["Name"]): each["License"] for each in json.loads(_output(command))}
    needed = _needed_by()
    rows, counts = [], Counter()
    for name in packages:
        license = _license(name, stated.get(name, ""))
        part = needed.get(name, "development")
        counts["installed" if part != "development" else part, _family(license)] += 1
        rows.append(f"| {name} | {part} | {license} |")
    head = ["| | with this package and its extras | for development only |", "|---|---:|---:|"]
    families = [*FAMILIES, "not installed where this was made"]
    head += [f"| {each} | {counts['installed', each]} | {counts['development', each]} |" for each in families]
    return "\n".join([*head, "", "| package | needed by | license, as it states |", "|---|---|---|", *rows])


def _family(license: str) -> str:
    found = (family for family, pattern in FAMILIES.items() if re.search(pattern, license))
    return next(found, "not installed where this was made")


def _license(name: str, stated: str) -> str:
    if stated not in ("", "UNKNOWN"):
        return stated.replace("; ", ", ")
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return "not installed here"
    for file in files:
        if re.search(r"LICEN[CS]E|COPYING", file.name, re.IGNORECASE):
            text = Path(str(file.locate())).read_text(errors="replace")[:2000]
            for words, license in IN_FILES.items():
                if words in text:
                    return f"{license} (its license file)"
    return STATED.get(name, "UNKNOWN")


def _needed_by() -> dict[str, str]:
    """The core or the first extra that needs a package."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    needed: dict[str, str] = {}
    for extra in ("", *extras):
        chosen = ["--extra", extra] if extra else []
        for name in _exported(*chosen):
            needed.setdefault(name, extra or "core")
    return needed


def _exported(*options: str) -> list[str]:
    command = [os.environ.get("UV", "uv"), "export", "--frozen", "--quiet", "--no-emit-project", "--no-hashes"]
    text = _output([*command, *options])
    return [line.partition("==")[0] for line in text.splitlines() if re.match(r"[\w.-]+==", line)]


def audit() -> tuple[int, list[str], int]:
    """How many packages were looked up, what was found, and how many the service does not know."""
    command = [os.environ.get("UV", "uv"), "export", "--frozen", "--quiet", "--no-emit-project"]
    requirements = _output([*command, "--all-extras", "--all-groups"])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(requirements)
        options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
        command = [sys.executable, "-m", "pip_audit", "-r", str(file), *options]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if not result.stdout.strip():
        print(f"pip-audit gave no answer: {(result.stderr.strip().splitlines() or ['nothing said'])[-1]}")
        return 0, [], 0
    packages = json.loads(result.stdout)["dependencies"]
    skipped = [each for each in packages if "skip_reason" in each]
    found = [f"{each['name']} {each['version']}: {v['id']}" for each in packages for v in each.get("vulns", [])]
    return len(packages) - len(skipped), found, len(skipped)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


if __name__ == "__main__":
    main()
