"""The same photograph in two splits, or twice in one."""

from yolact.doctor.findings import Finding, Spot
from yolact.doctor.fingerprints import find_pairs
from yolact.doctor.survey import Survey


def find_leaks(surveys: list[Survey]) -> list[Finding]:
    """Photographs of one split that are in another as well (errors), or that a split has twice (notes)."""
    by_split = {survey.split: survey for survey in surveys}
    spots, fingerprints = [], []
    for survey in surveys:
        for row, fingerprint in survey.fingerprints.items():
            spots.append(Spot(survey.split, row))
            fingerprints.append(fingerprint)
    groups: dict[tuple[str, str, str], list[tuple[Spot, Spot]]] = {}
    for pair in find_pairs(fingerprints, [spot.split for spot in spots]):
        a, b = spots[pair.first], spots[pair.second]
        groups.setdefault((a.split, b.split, pair.kind), []).append((a, b))
    findings = []
    for (one, other, kind), pairs in sorted(groups.items()):
        where = tuple(f"{by_split[a.split].name(a)} = {by_split[b.split].name(b)}" for a, b in pairs)
        if one == other:
            findings.append(
                Finding("note", one, f"photograph that is there twice, {kind}", where, tuple(pairs), "pair")
            )
        else:
            splits, text = (
                f"{one} and {other}",
                f"photograph in both, {kind}; what is measured on it counts for nothing",
            )
            findings.append(Finding("error", splits, text, where, tuple(pairs), "pair"))
    return findings
