import pytest

from msimaging.reporting.verdicts import verdict
from msimaging.reporting.viewer import niivue_source


@pytest.mark.parametrize(
    ("detectable", "reliable", "words"),
    [
        (True, True, "detectable and reliable"),
        (True, False, "detectable but not reliable"),
        (True, float("nan"), "detectable (rescans unknown)"),
        (False, True, "large but not detectable"),
        (False, False, "within the noise"),
        ("True", "false", "detectable but not reliable"),
        (float("nan"), None, "not judged"),
    ],
)
def test_verdict_in_words(detectable, reliable, words):
    assert verdict({"detectable": detectable, "reliable": reliable}) == words


def test_nilearn_carries_the_viewer():
    assert "NVImage" in niivue_source()
