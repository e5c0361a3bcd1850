"""`yolact data`: verbs of its own."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, subcommand

from yolact.verbs.data_convert import DataConvert
from yolact.verbs.data_formats import DataFormats

Verb = (
    Annotated[DataConvert, subcommand("convert")]
    | Annotated[DataFormats, subcommand("formats")]  # a further verb is a further line
)


@dataclass(frozen=True, kw_only=True)
class Data:
    """Look after annotated data sets: convert them from one format to another."""

    verb: OmitArgPrefixes[OmitSubcommandPrefixes[Verb]]

    def run(self) -> int:
        return self.verb.run()
