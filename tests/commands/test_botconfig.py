"""Configurations of bots as files: out, back, compared and judged."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from strategies.configfile import read_yaml
from strategies.services import save_config
from tests.admin.conftest import AT, Desk, desk  # noqa: F401 - a fixture
from tests.commands.test_rows import read, said


def write(folder: Path, text: str) -> str:
    path = folder / "bot.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_configuration_goes_out_and_comes_back(desk: Desk, tmp_path: Path) -> None:  # noqa: F811
    text = said("botconfig", "export", desk.bot.pk)
    assert said("botconfig", "export", "Main/MyBot_EURUSD") == text
    path = write(tmp_path, text.replace("lot_size: 0.01", "lot_size: 0.05"))
    assert read("botconfig", "validate", path)["values"]["lot_size"] == 0.05
    rehearsal = read("botconfig", "import", desk.bot.pk, path, "--why", "bigger", "--dry-run")
    assert (rehearsal["version"], rehearsal["changes"]) == (2, ["lot_size 0.01 → 0.05"])
    desk.bot.refresh_from_db()
    assert desk.bot.config is not None
    assert desk.bot.config.version == 1
    assert read("botconfig", "import", desk.bot.pk, path, "--why", "bigger", "--as", "mia")["version"] == 2
    desk.bot.refresh_from_db()
    assert desk.bot.config.values["lot_size"] == 0.05
    assert desk.bot.config.created_by == desk.people["mia"]
    assert read("botconfig", "import", desk.bot.pk, path, "--why", "again")["version"] == 2


def test_an_export_never_overwrites_a_file(desk: Desk, tmp_path: Path) -> None:  # noqa: F811
    path = tmp_path / "out.yaml"
    said("botconfig", "export", desk.bot.pk, "--output", path)
    before = path.read_bytes()
    with pytest.raises(CommandError, match="--output: File exists"):
        said("botconfig", "export", desk.bot.pk, "--output", path)
    assert path.read_bytes() == before


def test_a_difference_is_shown_and_told_by_the_exit_code(desk: Desk, tmp_path: Path) -> None:  # noqa: F811
    text = said("botconfig", "export", desk.bot.pk)
    assert "the same" in said("botconfig", "diff", desk.bot.pk, write(tmp_path, text))
    assert desk.bot.config is not None
    save_config(bot=desk.bot, values=desk.bot.config.values | {"lot_size": 0.02}, at=AT)
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("botconfig", "diff", str(desk.bot.pk), "1", "--json", stdout=out)
    assert ended.value.code == 3
    assert json.loads(out.getvalue())["changes"] == [{"name": "lot_size", "before": 0.02, "after": 0.01}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("strategy: [", "no YAML in line"),
        ("- a", "needs strategy and values"),
        ("strategy: cycle-trader", "values: missing"),
        ("strategy: frog\nvalues: {}", "strategy: 'frog' is none; known: .*cycle-trader"),
        ("strategy: 7\nvalues: {}", "strategy is a name"),
        ("strategy: cycle-trader\nvalues: {}\nlots: 5", "lots: unknown"),
        ("strategy: cycle-trader\nvalues: {lot_size: 0.01, lot_size: 9}", "lot_size: given twice"),
        ("strategy: cycle-trader\nvalues: &a {b: *a}", r"references \(\*name\) are not taken"),
        ("strategy: cycle-trader\nvalues: {lot_size: .nan}", "lot_size"),
        ("strategy: cycle-trader\nvalues: {lot_size: -1}", "lot_size"),
        ("strategy: cycle-trader\nvalues: {lotsize: 1}", "lotsize"),
        ("strategy: cycle-trader\nvalues: {lot_size: !!python/object/apply:os.system [ls]}", "no YAML in line 2"),
        ("a: " + "[" * 3000, "no YAML"),
        ("x" * 70_000, "larger than 64 KB"),
    ],
)
def test_a_file_that_does_not_hold_is_refused_by_name(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=problem):
        said("botconfig", "validate", write(tmp_path, text))


@given(st.text(max_size=200) | st.text(alphabet="strategyvalues:{}[]&*!|>-\n 'cle0.19", max_size=200))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        read_yaml(text.encode("utf-8", "replace"))


def test_a_file_for_another_strategy_or_person_is_refused(desk: Desk, tmp_path: Path) -> None:  # noqa: F811
    path = write(tmp_path, "strategy: scalping\nvalues: {}\n")
    with pytest.raises(CommandError, match="the file is for scalping, MyBot_EURUSD trades cycle-trader"):
        said("botconfig", "import", desk.bot.pk, path, "--why", "x")
    same = write(tmp_path, said("botconfig", "export", desk.bot.pk))
    with pytest.raises(CommandError, match="ada is no manager"):
        said("botconfig", "import", desk.bot.pk, same, "--why", "x", "--as", "ada")
    with pytest.raises(CommandError, match="no bot 'Main/Frog'"):
        said("botconfig", "export", "Main/Frog")
    with pytest.raises(CommandError, match=r"missing.yaml: No such file"):
        said("botconfig", "validate", tmp_path / "missing.yaml")
    with pytest.raises(CommandError, match="has no version 9"):
        said("botconfig", "diff", desk.bot.pk, 9)
