"""Completion in a real shell."""

import shutil
import subprocess
import sys

import pytest

from tests.commands.test_rows import said

BASH = shutil.which("bash")


@pytest.mark.skipif(BASH is None or sys.platform == "win32", reason="needs bash")
def test_bash_completes_commands_what_they_do_and_options() -> None:
    script = said("completion", "bash")

    def completed(*words: str) -> set[str]:
        line = " ".join(f"'{word}'" for word in words)
        state = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}"
        ask = f"{script}\n{state}; _trading_manage; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        assert BASH is not None
        done = subprocess.run([BASH, "-c", ask], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return set(done.stdout.split())

    assert {"orders", "bots", "runengine", "migrate"} <= completed("./manage.py", "")
    assert completed("python", "manage.py", "ord") == {"orders"}
    assert completed("python", "manage.py", "orders", "") == {"list", "show", "close", "modify"}
    assert {"--status", "--symbol", "--limit", "--json"} <= completed("python", "manage.py", "orders", "list", "--")
    assert completed("manage.py", "doctor", "--js") == {"--json"}
    assert completed("python", "other.py", "") == set()


def test_zsh_gets_the_same_with_its_own_beginning() -> None:
    zsh = said("completion", "zsh")
    assert zsh.startswith("autoload")
    assert zsh.endswith(said("completion", "bash"))
