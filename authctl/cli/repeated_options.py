"""How every command reads its options: one that takes a single value refuses a second value that is another one, and a file has a name.

Typer keeps the last value of such an option without a message: `--note A --note B` would keep B alone. So the parser gathers all
values, and they are compared before anything is made of them. The value of an environment variable does not count as a first value.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from typer import BadParameter
from typer.core import TyperCommand, TyperGroup

from authctl.cli.streams import printing, unexpected
from authctl.errors import InvalidInput
from authctl.names import quoted

_PATH = "path"
"""The name of Typer's type of the parameters that are files."""
_WHOLE_SENTENCE = 1_000
"""More characters than the first sentence of any help has."""
_WIDEST_NAME = 22
"""The widest option beside its text, in characters; the text of a wider one begins below it, and the other texts keep their room."""


class Command(TyperCommand):
    """A command that refuses a second value of an option that takes one."""

    def make_parser(self, ctx: Any) -> Any:
        """As Typer makes it, gathering all values."""
        # decision 122: an option that is given twice with two values is refused, unless it names targets
        return _gathering(super().make_parser(ctx), self.params, ctx)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. A refusal of the operating system that no place expects is not taken for a result that cannot be written."""
        # decision 337: exit 8 means that the operation was done
        try:
            return super().invoke(ctx)
        except OSError as error:
            _check_working_folder()
            raise unexpected(error) from error

    def get_help(self, ctx: Any) -> str:
        """The help. Raises OutputFailed where standard output is closed: Typer would print it nowhere without a word."""
        return _printable(super().get_help(ctx))

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002
        """The whole first sentence of the help: Typer would cut it after a few words."""
        return super().get_short_help_str(_WHOLE_SENTENCE)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, then options in groups, those of every day first."""
        # decision 191: the daily options fit on a screen without scrolling
        from authctl.cli.option_groups import grouped

        shown = [(param, line) for param in self.get_params(ctx) if (line := param.get_help_record(ctx))]
        arguments = [line for param, line in shown if param.param_type_name == "argument"]
        options = [(max(param.opts, key=len), line) for param, line in shown if param.param_type_name == "option"]
        sections = {"Arguments": arguments} | grouped(ctx.command_path.partition(" ")[2], options)
        for heading, lines in sections.items():
            if lines:
                with formatter.section(heading):
                    formatter.write_dl(lines, _WIDEST_NAME)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Sample commands of this command."""
        super().format_epilog(ctx, formatter)
        _write_sample_commands(ctx, formatter)


class Group(TyperGroup):
    """A group of commands whose own options are read in the same way."""

    def make_parser(self, ctx: Any) -> Any:
        """As Typer makes it, gathering all values."""
        return _gathering(super().make_parser(ctx), self.params, ctx)

    def get_help(self, ctx: Any) -> str:
        """The help, as for a command."""
        return _printable(super().get_help(ctx))

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002
        """The whole first sentence of the help, as for a command."""
        return super().get_short_help_str(_WHOLE_SENTENCE)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Sample commands of the verbs."""
        super().format_epilog(ctx, formatter)
        _write_sample_commands(ctx, formatter)


def _printable(text: str) -> str:
    with printing():
        return text


def _write_sample_commands(ctx: Any, formatter: Any) -> None:
    """Write sample commands, each on one line: a line that is wrapped cannot be copied."""
    from authctl.cli.sample_commands import sample_commands_of

    formatter.write(
        "\nExamples:\n" + "".join(f"  {line}\n" for line in sample_commands_of(ctx.command_path.partition(" ")[2]))
    )


def _gathering(parser: Any, params: Sequence[Any], ctx: Any) -> Any:
    """The parser, which collects all values of each option that takes one value, and returns the last."""
    single = [
        option
        for option in params
        if option.param_type_name == "option" and not (option.multiple or option.is_flag or option.count)
    ]
    for option in single:
        parser.add_option(
            obj=option, opts=option.opts, dest=option.name, action="append", nargs=option.nargs
        )  # in the place of "store"
    parse = parser.parse_args

    def parse_args(args: list[str]) -> tuple[dict[str, Any], list[str], list[Any]]:
        values, rest, order = parse(args)
        for option in single:
            if option.name in values:
                values[option.name] = _one_value(option, values[option.name], ctx)
        _check_files(params, values, ctx)
        return values, rest, order

    parser.parse_args = parse_args
    return parser


def _check_files(params: Sequence[Any], values: Mapping[str, Any], ctx: Any) -> None:
    """Fail with a usage error where the name of a file is blank."""
    # decision 335: Typer makes the path `.` of it, and the message would name the working folder, or read from there
    for param in () if ctx.resilient_parsing else params:
        given = values.get(param.name) if param.type.name == _PATH else None
        for text in (given,) if isinstance(given, str) else given or ():
            if not text.strip():
                name = param.opts[0] if param.param_type_name == "option" else "FILE"
                raise BadParameter(f"{quoted(text)} is not the name of a file", ctx=ctx, param_hint=quoted(name))


def _check_working_folder() -> None:
    """Raise InvalidInput if the working folder was deleted: no relative path leads anywhere then."""
    try:
        Path.cwd()
    except OSError:
        raise InvalidInput("the working folder does not exist any more", "cd to another folder") from None


def _one_value(option: Any, values: Sequence[str], ctx: Any) -> str:
    """The value that an option was given, once or again. Fails with a usage error where it was given two that differ."""
    first = values[0]
    other = next((value for value in values if value != first), None)
    if other is not None and not ctx.resilient_parsing:
        ctx.fail(f"{option.opts[0]} was given twice: {quoted(first)} and {quoted(other)}")
    return first
