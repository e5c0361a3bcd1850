"""`yolact data`: verbs of its own."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, subcommand

from yolact.verbs.data_anchors import Anchors
from yolact.verbs.data_check import Check
from yolact.verbs.data_convert import DataConvert
from yolact.verbs.data_formats import DataFormats

Verb = (
    Annotated[DataConvert, subcommand("convert")]
    | Annotated[DataFormats, subcommand("formats")]
    | Annotated[Check, subcommand("check")]
    | Annotated[Anchors, subcommand("anchors")]
)


@dataclass(frozen=True, kw_only=True)
class Data:
    """Look after annotated data sets: convert them, check them, propose anchors for them."""

    verb: OmitArgPrefixes[OmitSubcommandPrefixes[Verb]]

    def run(self) -> int:
        return self.verb.run()
