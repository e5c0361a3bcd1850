"""YAML from anybody: plain values, and no more of them than the text is long."""

from typing import Any

MOST_ALIASES = 8
"""A few names for what was written before (`*name`) are a convenience; dozens make gigabytes of a few lines."""


def load_yaml(text: str) -> Any:
    """The one document in a text.

    Raises:
        yaml.YAMLError: it is no YAML, asks for other than plain values, or repeats itself by more than a few aliases.
        RecursionError: it is nested too deeply.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        aliases = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.aliases += self.check_event(yaml.AliasEvent)
            if self.aliases > MOST_ALIASES:
                raise yaml.YAMLError(f"more than {MOST_ALIASES} aliases (*name); write out what they stand for")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader)
    except ValueError as error:  # a date of no calendar, a number of thousands of digits
        raise yaml.YAMLError(str(error)) from error
