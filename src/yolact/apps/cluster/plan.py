"""What a folder of results is of, written before there is any: a later run goes on only with the same."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from yolact.apps.cluster.listing import Listing
from yolact.apps.cluster.storage import FileFacts, Folder

PLAN, LISTING = "plan.json", "listing.parquet"

FORMAT = 1

VERSIONS = ("yolact", "torch", "pyarrow")
"""Of what decides the numbers, or the bytes that they are written in."""


@dataclass(frozen=True)
class Plan:
    facts: dict[str, Any]
    listing: Listing

    @classmethod
    def of(cls, listing: Listing, weights: str, options: Mapping[str, Any]) -> "Plan":
        """
        Args:
            weights: fingerprint of the network.
            options: whatever else decides the results; JSON.
        """
        source = {"kind": listing.kind, "files": len(listing.files), "bytes": sum(f.size for f in listing.files)}
        facts = {
            "format": FORMAT,
            "source": source | {"column": listing.column, "sha256": listing.fingerprint},
            "chunks": len(listing.chunks),
            "weights": weights,
            "options": dict(options),
            "versions": {name: version(name) for name in VERSIONS},
        }
        return cls(json.loads(json.dumps(facts)), listing)

    def agree_with(self, out: Folder) -> bool:
        """Write this plan into a new folder, or see that the one in it is the same.

        Returns:
            Whether it was there before.

        Raises:
            ValueError: the folder holds something else, or results of another plan; the message says what differs.
        """
        if not out.has(PLAN):
            self._begin(out)
            return False
        try:
            earlier = json.loads(out.read(PLAN))
            differences = self._differences(earlier, out) if earlier["format"] == FORMAT else ["the format"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{out.text}/{PLAN} is damaged ({error!r}); choose another folder") from error
        if differences:
            raise ValueError(
                f"{out.text} holds the results of another run: {', '.join(differences)}; repeat what that run was"
                " given, or choose another folder"
            )
        return True

    def _begin(self, out: Folder) -> None:
        try:
            others = [file.name for file in out.entries() if file.name != LISTING]
        except FileNotFoundError:
            others = []
        if others:
            raise ValueError(f"{out.text} holds {others[0]}, which is not of such a run; choose another folder")
        files = self.listing.files
        columns = {name: [getattr(file, name) for file in files] for name in ("name", "size", "modified")}
        buffer = pa.BufferOutputStream()
        parquet.write_table(pa.table(columns), buffer, compression="zstd")
        out.write(LISTING, buffer.getvalue())
        out.write(PLAN, json.dumps(self.facts, indent=1).encode())

    def _differences(self, earlier: dict[str, Any], out: Folder) -> list[str]:
        facts, found = self.facts, []
        if facts["source"] != earlier["source"]:
            found.append(self._how_source_differs(earlier["source"], out))
        if facts["weights"] != earlier["weights"]:
            found.append(f"the weights ({earlier['weights'][:8]} then, {facts['weights'][:8]} now)")
        for group in ("options", "versions"):
            names = [*earlier[group], *(name for name in facts[group] if name not in earlier[group])]
            pairs = [(name, earlier[group].get(name), facts[group].get(name)) for name in names]
            found += [f"{name} ({_shown(then)} then, {_shown(now)} now)" for name, then, now in pairs if then != now]
        return found

    def _how_source_differs(self, earlier: dict[str, Any], out: Folder) -> str:
        now = self.facts["source"]
        for name in ("kind", "column"):
            if now[name] != earlier[name]:
                return f"the source's {name} ({_shown(earlier[name])} then, {_shown(now[name])} now)"
        rows = parquet.read_table(io.BytesIO(out.read(LISTING))).to_pylist() if out.has(LISTING) else []
        then = {row["name"]: FileFacts(**row) for row in rows}
        current = {file.name: file for file in self.listing.files}
        kinds = {
            "gone": sorted(then.keys() - current.keys()),
            "new": sorted(current.keys() - then.keys()),
            "changed": sorted(name for name in then.keys() & current.keys() if then[name] != current[name]),
        }
        parts = [f"{len(names)} {kind}, such as {names[0]}" for kind, names in kinds.items() if names]
        return f"the source's files ({'; '.join(parts) or 'others'})"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
