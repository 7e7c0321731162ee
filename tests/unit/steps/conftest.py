"""The command line without a process of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from msimaging import cli


@pytest.fixture
def msimaging_main(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Return a function that calls a verb and gives its exit code and what it printed."""

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["msimaging", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out = capsys.readouterr()
        return int(ended.value.code or 0), out.out + out.err

    return call
