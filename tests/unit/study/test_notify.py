from pathlib import Path

import pytest

from msimaging.settings import validated
from msimaging.study.notify import notify


def settings(command: str, **other: str) -> dict:
    return validated({"bids_dir": "bids", "notify": {"command": command, **other}})["notify"]


def test_the_summary_and_the_outcome_reach_the_command(tmp_path: Path) -> None:
    command = f'{{ cat; echo "$MSIMAGING_EXIT_CODE $MSIMAGING_STUDY"; }} > {tmp_path}/told'
    assert notify(settings(command), "12 done\n", study=Path("/s"), code=3) == ""
    assert (tmp_path / "told").read_text() == "12 done\n3 /s\n"


def test_problems_only_means_any_end_but_0(tmp_path: Path) -> None:
    chosen = settings(f"touch {tmp_path}/told", when="problems")
    notify(chosen, "", study=tmp_path, code=0)
    assert not (tmp_path / "told").exists()
    notify(chosen, "", study=tmp_path, code=1)
    assert (tmp_path / "told").exists()


def test_no_command_is_the_default(tmp_path: Path) -> None:
    assert notify(validated({"bids_dir": "b"})["notify"], "", study=tmp_path, code=1) == ""


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("echo no network >&2; exit 7", "the notify command ended with 7 no network"),
        ("no-such-program-anywhere", "the notify command ended with 127"),
    ],
)
def test_a_failing_command_is_told_and_nothing_else(
    command: str, told: str, tmp_path: Path
) -> None:
    assert notify(settings(command), "x" * 100_000, study=tmp_path, code=0).startswith(told)


def test_a_command_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msimaging.study.notify._PATIENCE", 0.2)
    assert "timed out" in notify(settings("exec sleep 30"), "", study=tmp_path, code=0)
