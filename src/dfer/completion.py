"""Completion of the command line: a script for a shell that knows every command and its flags.

    dfer completion bash > ~/.local/share/bash-completion/completions/dfer
    dfer completion zsh > ~/.zfunc/_dfer

It is made once, from the parsers of all commands, so that a press of Tab starts no Python. Make it
again after an update.
"""

import argparse
from importlib import import_module

import shtab

from dfer.__main__ import MODULES, summary
from dfer.errors import stage


def everything() -> argparse.ArgumentParser:
    """One parser of all commands; whatever has no list of values of its own is a file."""
    top = argparse.ArgumentParser(prog="dfer")
    commands = top.add_subparsers()
    for name, module in MODULES.items():
        commands.add_parser(name, help=summary(module))
        if hasattr(import_module(module), "parser"):
            commands.choices[name] = import_module(module).parser()
        else:  # its words are Snakemake's
            commands.choices[name].add_argument("targets", nargs="*")
    todo = [top]
    while todo:
        for action in todo.pop()._actions:
            if isinstance(action, argparse._SubParsersAction):
                todo += action.choices.values()
            elif action.nargs != 0 and not action.choices:
                action.complete = shtab.FILE
    return top


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("shell", choices=shtab.SUPPORTED_SHELLS, help="which shell's script to print")
    return top


def main(args: argparse.Namespace) -> None:
    """Print the script."""
    print(shtab.complete(everything(), args.shell))


if __name__ == "__main__":
    stage(main, parser())
