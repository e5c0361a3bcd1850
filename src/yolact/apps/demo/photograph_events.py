"""The page about one photograph: what follows what. The network runs when a photograph comes, and at nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from yolact.apps.demo import downloads
from yolact.apps.demo.explanation import formula, prototype_grid
from yolact.apps.demo.limits import UPLOADS_KEPT
from yolact.apps.demo.listing import listing
from yolact.apps.demo.models import Models
from yolact.apps.demo.photograph_tab import WELCOME, PhotographTab
from yolact.apps.demo.pictures import picture_of, row_at
from yolact.apps.demo.session import Choice, Session, Sessions, selected

HINT = '<p class="yo-hint">{}</p>'
GONE = f"The photograph was removed from this machine after {UPLOADS_KEPT / 60:.0f} minutes. Drop it again."
SHOW_NOTHING = 9
"""Outputs of `PhotographEvents.view`."""

SAVE_IN_BROWSER = """(file) => {
    const link = document.createElement('a');
    link.href = file.url; link.download = file.orig_name; link.click();
}"""


class PhotographEvents:
    """What happens at a visitor's action. Each action comes with the dropped file and the state of all controls."""

    def __init__(self, models: Models, sessions: Sessions, photographs: list[Path], folder: Path) -> None:
        self.models, self.sessions, self.photographs, self.folder = models, sessions, photographs, folder

    def open(self, request: gr.Request, dropped: str | None, compare: str, *controls: Any) -> list[Any]:
        """A photograph came: run the network."""
        visitor = str(request.session_hash)
        self.sessions.forget(visitor)
        if dropped is None:
            return self.nothing()
        try:
            session = self.models.open(Path(dropped))
        except ValueError as error:
            gr.Warning(str(error))
            return self.nothing()
        self.sessions.put(visitor, session)
        return self.view(session, choice_of(controls), compare)

    def redraw(self, request: gr.Request, dropped: str | None, compare: str, *controls: Any) -> list[Any]:
        """A control moved."""
        session = self.session(dropped, request)
        return [gr.skip()] * SHOW_NOTHING if session is None else self.view(session, choice_of(controls), compare)

    def point(
        self, request: gr.Request, event: gr.SelectData, dropped: str | None, compare: str, *controls: Any
    ) -> list[Any]:
        """A click into the picture."""
        session, choice = self.session(dropped, request), choice_of(controls)
        if session is None:
            return [gr.skip()] * SHOW_NOTHING
        row = row_at(session, choice, event.index[0], event.index[1])
        return [gr.skip()] * SHOW_NOTHING if row is None else self.choose(session, row, choice, compare)

    def choose_row(
        self, request: gr.Request, event: gr.EventData, dropped: str | None, compare: str, *controls: Any
    ) -> list[Any]:
        """A click into the list."""
        session, row = self.session(dropped, request), int(event.chosen)
        if session is None or not 0 <= row < len(session.found):
            return [gr.skip()] * SHOW_NOTHING
        return self.choose(session, row, choice_of(controls), compare)

    def choose(self, session: Session, row: int, choice: Choice, compare: str) -> list[Any]:
        session.choose(row)
        return self.view(session, choice, compare)

    def choose_prototype(
        self, request: gr.Request, event: gr.EventData, dropped: str | None, compare: str, *controls: Any
    ) -> list[Any]:
        """A click on a prototype: its coefficient comes to the slider."""
        session, prototype = self.session(dropped, request), int(event.chosen)
        if session is None or session.chosen is None or not 0 <= prototype < len(session.found.prototypes):
            return [gr.skip()] * SHOW_NOTHING
        session.prototype = prototype
        return self.view(session, choice_of(controls), compare)

    def change(
        self, request: gr.Request, value: float | int, dropped: str | None, compare: str, *controls: Any
    ) -> list[Any]:
        """The coefficient's slider moved."""
        session = self.session(dropped, request)
        if session is None or session.chosen is None or session.prototype is None:
            return [gr.skip()] * SHOW_NOTHING
        coefficients = session.coefficients(session.chosen).copy()
        coefficients[session.prototype] = value
        session.edited[session.chosen] = coefficients
        answer = self.view(session, choice_of(controls), compare)
        answer[COEFFICIENT] = gr.skip()  # it is under the visitor's hand
        return answer

    def reset(self, request: gr.Request, dropped: str | None, compare: str, *controls: Any) -> list[Any]:
        session = self.session(dropped, request)
        if session is None or session.chosen is None:
            return [gr.skip()] * SHOW_NOTHING
        session.edited.pop(session.chosen, None)
        return self.view(session, choice_of(controls), compare)

    def saver(self, kind: str) -> Callable[..., str]:
        """What the button for this kind of file does."""

        def save(request: gr.Request, dropped: str | None, compare: str, *controls: Any) -> str:
            session = self.session(dropped, request)
            if session is None:
                raise gr.Error("Drop a photograph first.", print_exception=False)
            try:
                return str(downloads.save(session, choice_of(controls), kind, self.folder))
            except FileNotFoundError as error:
                raise gr.Error(GONE, print_exception=False) from error
            except ValueError as error:
                raise gr.Error(str(error), print_exception=False) from error

        return save

    def example(self, event: gr.EventData) -> str:
        return str(self.photographs[int(event.chosen)])

    def session(self, dropped: str | None, request: gr.Request) -> Session | None:
        """The visitor's; made anew from the photograph that the page still shows if it was forgotten."""
        visitor = str(request.session_hash)
        session = self.sessions.get(visitor)
        if session is None and dropped is not None:
            try:
                session = self.models.open(Path(dropped))
            except ValueError as error:
                raise gr.Error(f"Drop the photograph again: {error}", print_exception=False) from error
            self.sessions.put(visitor, session)
        return session

    def view(self, session: Session, choice: Choice, compare: str) -> list[Any]:
        """All that the page shows of a session, for `outputs_of` a tab."""
        picture, shown = picture_of(session, choice)
        beside = None
        if compare in self.models.others:
            try:
                other = session.at_page_size(self.models.compare(session, compare))
            except FileNotFoundError as error:
                raise gr.Error(GONE, print_exception=False) from error
            beside = selected(other, choice).plot(opacity=choice.opacity)
        if session.chosen is None:
            hint = "Click on somebody in the picture, or in this list, to see what the mask is made of."
            panel = [gr.update(visible=False), "", gr.skip(), ""]
        else:
            hint = ""
            panel = [gr.update(visible=True), formula(session, session.chosen, choice), _slider(session)]
            panel.append(prototype_grid(session, session.chosen))
        beside_label = gr.update(value=beside, label=compare or "Beside it", visible=beside is not None)
        return [
            picture,
            beside_label,
            HINT.format(hint) if hint else "",
            listing(session, shown),
            gr.update(visible=True),
            *panel,
        ]

    def nothing(self) -> list[Any]:
        """What the page shows without a photograph."""
        return [None, None, WELCOME, "", gr.update(visible=False), gr.update(visible=False), "", gr.skip(), ""]


COEFFICIENT = 7
"""Where the slider is among the outputs of `PhotographEvents.view`."""


def outputs_of(tab: PhotographTab) -> list[Any]:
    return [
        tab.picture,
        tab.other,
        tab.hint,
        tab.listing,
        tab.saving,
        tab.panel,
        tab.formula,
        tab.coefficient,
        tab.grid,
    ]


def choice_of(controls: tuple[Any, ...]) -> Choice:
    score, number, mask, classes, opacity, crop = controls
    chosen = tuple(classes or ())
    return Choice(score=score, number=int(number), mask=mask, classes=chosen, opacity=opacity, crop=crop)


def _slider(session: Session) -> Any:
    assert session.chosen is not None
    assert session.prototype is not None
    value = float(session.coefficients(session.chosen)[session.prototype])
    name = f"{session.found.names[session.chosen]} {session.chosen + 1}"
    return gr.update(value=round(value, 2), label=f"Coefficient of prototype #{session.prototype} for {name}")


def connect(tab: PhotographTab, events: PhotographEvents) -> None:
    """Have each action answered."""
    inputs = [tab.dropped, tab.compare, *tab.controls.all()]
    outputs = outputs_of(tab)
    network: dict[str, Any] = {"concurrency_id": "network", "concurrency_limit": 1, "show_progress_on": tab.picture}
    quick: dict[str, Any] = {"concurrency_id": "drawing", "concurrency_limit": 4, "show_progress": "hidden"}
    follow: dict[str, Any] = quick | {"trigger_mode": "always_last"}
    tab.dropped.input(events.open, inputs, outputs, api_name="open", **network)
    tab.dropped.clear(events.nothing, None, outputs, api_visibility="private", **quick)
    if tab.examples is not None:
        tab.examples.click(events.example, None, tab.dropped, api_visibility="private", **quick).then(
            events.open, inputs, outputs, api_visibility="private", **network
        )
    for slider in (tab.controls.score, tab.controls.number, tab.controls.mask, tab.controls.opacity):
        slider.input(events.redraw, inputs, outputs, api_name=f"by_{slider.label}".lower(), **follow)
    for dropdown in (tab.controls.classes, tab.controls.crop):
        dropdown.input(events.redraw, inputs, outputs, api_visibility="private", **follow)
    tab.compare.input(events.redraw, inputs, outputs, api_visibility="private", **network)
    tab.picture.select(events.point, inputs, outputs, api_visibility="private", **quick)
    tab.listing.click(events.choose_row, inputs, outputs, api_visibility="private", **quick)
    tab.formula.click(events.choose_prototype, inputs, outputs, api_visibility="private", **quick)
    tab.grid.click(events.choose_prototype, inputs, outputs, api_visibility="private", **quick)
    tab.coefficient.input(events.change, [tab.coefficient, *inputs], outputs, api_visibility="private", **follow)
    tab.reset.click(events.reset, inputs, outputs, api_visibility="private", **quick)
    for kind, button in tab.downloads:
        made = button.click(events.saver(kind), inputs, tab.download, api_visibility="private", **quick)
        made.success(None, tab.download, None, js=SAVE_IN_BROWSER)
