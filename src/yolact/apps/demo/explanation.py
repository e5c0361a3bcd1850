"""How one mask is mixed, as HTML: its formula in pictures, and all prototypes to choose from."""

from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float32

from yolact.apps.demo import thumbnails
from yolact.apps.demo.listing import swatch
from yolact.apps.demo.session import Choice, Session, as_chosen

TERMS = 5
"""Prototypes that the formula shows by themselves; the others are one term."""


@dataclass(frozen=True)
class Mixture:
    """What the formula shows of an instance."""

    prototypes: Float32[np.ndarray, "K Hp Wp"]
    coefficients: Float32[np.ndarray, " K"]
    original: Float32[np.ndarray, " K"]
    """Coefficients as the network gave them."""

    order: list[int]
    """See `Session.ranking`."""

    @classmethod
    def of(cls, session: Session, row: int) -> "Mixture":
        return cls(
            session.found.prototypes, session.coefficients(row), session.found.coefficients[row], session.ranking(row)
        )

    def term(self, prototypes: list[int]) -> Float32[np.ndarray, "Hp Wp"]:
        """What these add to the sum together."""
        return np.tensordot(self.coefficients[prototypes], self.prototypes[prototypes], axes=1)


def formula(session: Session, row: int, choice: Choice) -> str:
    """The mask of an instance as a sum of pictures, then a probability, then cut."""
    mixture = Mixture.of(session, row)
    shape = thumbnails.sized(session.found.image_size, 168)
    best, rest = mixture.order[:TERMS], mixture.order[TERMS:]
    parts = [_term(mixture, k, shape, chosen=k == session.prototype, first=i == 0) for i, k in enumerate(best)]
    if rest:
        picture = thumbnails.as_address(thumbnails.signed(mixture.term(rest), shape))
        parts.append(_figure(picture, f"the {len(rest)} others", sign="+"))
    total = mixture.term(mixture.order)
    chance = 1 / (1 + np.exp(-total))
    mask = as_chosen(session.current[row], choice).soft_masks[0]
    parts += [
        _figure(thumbnails.as_address(thumbnails.signed(total, shape)), "their sum", sign="="),
        _figure(thumbnails.as_address(thumbnails.probability(chance, shape)), "as a probability", sign="→"),
        _figure(thumbnails.as_address(thumbnails.probability(mask, shape)), "cut: the mask", sign="→"),
    ]
    title = f"{swatch(row)}<strong>How {escape(_name(session, row))} is mixed</strong>"
    key = '<span class="adds">adds</span> <span class="takes">takes away</span>'
    head = f'<div class="yo-title">{title}<span class="yo-key">{key}</span></div>'
    return f'{head}<div class="yo-sum">{"".join(parts)}</div>'


def prototype_grid(session: Session, row: int) -> str:
    """All prototypes, those first that matter most to this instance, each with its coefficient."""
    mixture = Mixture.of(session, row)
    shape = thumbnails.sized(session.found.image_size, 112)
    tiles = [_term(mixture, k, shape, chosen=k == session.prototype) for k in mixture.order]
    return f'<div class="yo-grid">{"".join(tiles)}</div>'


def _term(mixture: Mixture, k: int, shape: tuple[int, int], chosen: bool, first: bool | None = None) -> str:
    """A prototype with its coefficient, to click on."""
    value = float(mixture.coefficients[k])
    picture = thumbnails.as_address(thumbnails.prototype(mixture.prototypes[k], shape))
    classes = ["yo-term", "adds" if value > 0 else "takes", *["chosen"] * chosen]
    changed = " *" if value != mixture.original[k] else ""
    said = f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")
    caption = f"<b>{said}</b>{changed} &times; #{k}"
    tile = (
        f'<button type="button" class="{" ".join(classes)}" data-prototype="{k}" aria-pressed="{str(chosen).lower()}"'
        f' aria-label="prototype {k}, coefficient {said}">'
        f'<img src="{picture}" alt=""><span>{caption}</span></button>'
    )
    return tile if first is None else f'<div class="yo-part"><i>{"" if first else "+"}</i>{tile}</div>'


def _figure(picture: str, caption: str, sign: str) -> str:
    return (
        f'<div class="yo-part"><i>{sign}</i><figure><img src="{picture}" alt=""><span>{caption}</span></figure></div>'
    )


def _name(session: Session, row: int) -> str:
    return f"{session.found.names[row]} {row + 1}"
