"""The sessions that a command names: ids, or tokens, as arguments or on standard input."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from authctl.cli.context import Cli
from authctl.cli.pasted_text import strip_token
from authctl.errors import InvalidInput, NotFound
from authctl.names import id_prefix, is_whole_id, quoted

_NO_ID = "-"
_MOST_NAMED = 10


class Targets(NamedTuple):
    """The ids, or tokens, that a command was given."""

    texts: tuple[str, ...]
    """The ids or tokens to look for."""
    unusable: dict[str, str]
    """Lines of standard input that could be many sessions, each with the reason: they count as not found, and the rest is done."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of a filter; where no line is usable an id that no session has, since no id at all would mean everybody."""
        return self.texts or ((_NO_ID,) if self.unusable else ())

    def not_found(self, unknown: Sequence[str]) -> tuple[str, ...]:
        """The texts without a session in the registry, and the unusable lines."""
        return (*(text for text in unknown if text != _NO_ID), *self.unusable)

    def warn_of_unusable(self, cli: Cli) -> None:
        """Warn of the first ten unusable lines, each with the reason."""
        for reason in list(self.unusable.values())[:_MOST_NAMED]:
            cli.warn(reason)


def check_found(not_found: Sequence[str], hint: str | None = None) -> None:
    """Raise NotFound where something was not found: ten are named, and all are counted."""
    if not_found:
        named, more = not_found[:_MOST_NAMED], len(not_found) - _MOST_NAMED
        beyond = f" and {more:,} more ({len(not_found):,} in all)" if more > 0 else ""
        raise NotFound(f"no session {', '.join(map(quoted, named))}{beyond}", hint)


def read_ids(cli: Cli, arguments: Sequence[str]) -> Targets:
    """The ids as given, with the lines of standard input in the place of `-`. An argument that is no id is refused later."""
    targets = Targets((), {})
    for text in arguments:
        targets = _with_lines(cli, targets, cli.lines()) if text == "-" else _with_text(targets, text)
    return targets


def read_ids_or_tokens(cli: Cli, arguments: Sequence[str]) -> Targets:
    """The same of ids and tokens, without characters pasted around them.

    Raises NotFound for an argument that is neither, and where standard input has neither, as for an id that no session has; the text
    is never shown, since it may be a broken token.
    """
    targets = Targets((), {})
    for text in arguments:
        lines = list(map(strip_token, cli.lines() if text == "-" else [text]))
        if not any(map(_is_id_or_token, lines)):
            where = "standard input has" if text == "-" else "an argument is"
            # decision 348: not found, as every text that can be no id
            raise NotFound(
                f"{where} neither an id nor a token", "one whole id or token each; to find ids: authctl sessions list"
            )
        targets = _with_lines(cli, targets, lines) if text == "-" else _with_text(targets, lines[0])
    return targets


def _is_id_or_token(text: str) -> bool:
    from authctl.tokens import has_token_shape

    return id_prefix(text) is not None or has_token_shape(text)


def _with_text(targets: Targets, text: str) -> Targets:
    return targets._replace(texts=(*targets.texts, text))


def _with_lines(cli: Cli, targets: Targets, lines: Iterable[str]) -> Targets:
    """The targets, and lines of standard input: one that could be several sessions, or too many, is unusable, and loses nothing else."""
    texts = list(targets.texts)
    unusable = dict(targets.unusable)
    for line in lines:
        prefix = id_prefix(line)
        try:
            # A short id is looked up now: of a list on standard input one ambiguous line must not stop the others.
            texts.append(line if prefix is None or is_whole_id(prefix) else cli.registry.session(line).id)
        except NotFound:
            texts.append(line)
        except InvalidInput as error:
            unusable[line] = error.message
    return Targets(tuple(texts), unusable)
