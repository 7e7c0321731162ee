import hashlib
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from msimaging.bids.ledger import failure_in
from msimaging.steps.records import describe


def test_a_sidecar_names_sources_by_digest_and_leaves_none_out(tmp_path: Path) -> None:
    source = tmp_path / "derivatives" / "msimaging" / "sub-1" / "raw.nii.gz"
    source.parent.mkdir(parents=True)
    source.write_bytes(b"raw")
    for name in ("map.nii.gz", "map.tsv"):
        (tmp_path / name).write_bytes(name.encode())
    describe(
        tmp_path / "map.nii.gz",
        "FA.",
        sources=[source],
        columns={"value": "A number."},
        alongside=[tmp_path / "map.tsv"],
        Units=None,
        Model="tensor",
    )
    content = json.loads((tmp_path / "map.json").read_text())
    assert content["Sources"] == ["bids::sub-1/raw.nii.gz"]
    digest = hashlib.sha256(b"raw").hexdigest()
    assert content["SourceDigests"] == {"bids::sub-1/raw.nii.gz": digest}
    assert content["Digests"] == {
        name: hashlib.sha256(name.encode()).hexdigest() for name in ("map.nii.gz", "map.tsv")
    }
    assert content["value"] == {"Description": "A number."}
    assert content["Model"] == "tensor"
    assert "Units" not in content


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        ("block = bytearray(300_000_000)", 0, ""),
        ("raise ComputationError('no signal\\nno mask')", 1, "no signal; no mask"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
    ],
)
def test_the_log_of_a_job_ends_with_the_reason(
    body: str, code: int, reason: str, tmp_path: Path, repository: Path
) -> None:
    path = tmp_path / "logs" / "job.log"
    program = (
        "from msimaging.steps.records import job_log\n"
        "from msimaging.errors import ComputationError\n"
        f"with job_log({str(path)!r}):\n    {body}\n"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert result.returncode == code
    assert failure_in(path) == reason
    assert path.read_text().startswith(f"began on {socket.gethostname()}\n")
    told = re.search(r"done in .* s, processor .* s, peak memory (\d+) MB", path.read_text())
    assert (told is not None) is (code == 0)
    # the program held 300 MB for a moment
    assert told is None or 300 < int(told[1]) < 700
    assert ("Traceback" in result.stderr) is ("ZeroDivision" in reason)
