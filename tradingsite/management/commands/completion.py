"""Completion of `manage.py` in a shell: commands, what they do, and their options."""

from argparse import _SubParsersAction
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandParser

# Words after `manage.py` up to the cursor choose the list: two of them for a command that has subcommands
SCRIPT = """\
_trading_manage() {
    local at words= current=${COMP_WORDS[COMP_CWORD]}
    for ((at = 0; at < COMP_CWORD; at++)); do
        [[ ${COMP_WORDS[at]} == *manage.py ]] && break
    done
    ((at < COMP_CWORD)) || return
    local command= what=
    ((at + 1 < COMP_CWORD)) && command=${COMP_WORDS[at + 1]}
    ((at + 2 < COMP_CWORD)) && what=${COMP_WORDS[at + 2]}
    case "$command $what" in
%s
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _trading_manage manage.py ./manage.py python python3
"""
ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


class Command(BaseCommand):
    """`manage.py completion bash|zsh`: `source <(python manage.py completion bash)`."""

    help = "Print a script that completes manage.py's commands and options: source <(python manage.py completion bash)"
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the shell."""
        parser.add_argument("shell", choices=["bash", "zsh"])

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the script."""
        words = dict(_words())
        cases = [f'    " ") words="{" ".join(sorted(name for name, what in words if not what))}" ;;']
        # The longer pattern first: "orders list" before "orders *"
        for (name, what), found in sorted(words.items(), key=lambda one: (one[0][0], not one[0][1], one[0][1])):
            pattern = f'"{name} {what}"' if what else f'"{name} "*'
            cases.append(f'    {pattern}) words="{" ".join(found)}" ;;')
        text = SCRIPT % "\n".join(cases)
        self.stdout.write((ZSH if options["shell"] == "zsh" else "") + text, ending="")


def _words() -> Iterator[tuple[tuple[str, str], list[str]]]:
    """Give what can follow each of our commands, and each of their subcommands."""
    ours = {config.name for config in apps.get_app_configs() if "site-packages" not in config.path}
    for name, app in get_commands().items():
        if app not in ours and name not in ("check", "migrate", "createsuperuser", "changepassword"):
            continue
        command = app if isinstance(app, BaseCommand) else load_command_class(app, name)
        parser = command.create_parser("manage.py", name)
        subcommands = [action for action in parser._actions if isinstance(action, _SubParsersAction)]
        yield (name, ""), _options(parser) if not subcommands else sorted(subcommands[0].choices)
        for what, one in subcommands[0].choices.items() if subcommands else ():
            yield (name, what), _options(one)


def _options(parser: Any) -> list[str]:
    """Give the long options and fixed words of a parser; Django's own, which every command has, are left out."""
    common = {"--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color", "--force-color"}
    options = {text for action in parser._actions for text in action.option_strings if text.startswith("--")}
    words = {str(one) for action in parser._actions if not action.option_strings for one in action.choices or ()}
    return sorted((options - common - {"--skip-checks", "--help"}) | words)
