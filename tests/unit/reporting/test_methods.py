import pytest

from msimaging.reporting.method_sentences import BY_SETTING, CHAPTERS, SENTENCES
from msimaging.reporting.methods import StepRecord, methods_text
from msimaging.reporting.references import REFERENCES


def _steps(*, denoised):
    reason = "" if denoised else "switched off"
    return [
        StepRecord(name="denoise_dwi", ran=denoised, reason=reason),
        StepRecord(name="fit_tensor", ran=True, settings={"fit": "wls", "samples": 200}),
        StepRecord(name="test_changes", ran=True, settings={"adjustment": "holm"}),
    ]


def test_skipping_a_step_changes_the_text():
    with_step, without = (methods_text(_steps(denoised=d)) for d in (True, False))
    assert "were denoised by" in str(with_step)
    assert "were denoised by" not in str(without)
    assert with_step.not_run == ()
    assert without.not_run == ("Denoising: not done (switched off).",)


def test_references_are_numbered_in_the_order_of_the_text():
    text = methods_text(_steps(denoised=True))
    assert text.references[0].startswith("Veraart")
    assert "components [1]." in str(text)
    assert "[2, 3]" in text.chapters[0].sentences[1]
    assert not any("Veraart" in work for work in methods_text(_steps(denoised=False)).references)


def test_every_setting_is_told_and_a_missing_one_is_owned_to():
    text = methods_text(_steps(denoised=True))
    assert "(method wls)" in str(text)
    assert "(samples 200)" in str(text)
    assert "confidence not recorded" in str(text)
    assert ("fit_tensor", "samples", "200") in text.settings


def test_settings_choose_references():
    assert any(work.startswith("Holm") for work in methods_text(_steps(denoised=True)).references)


def test_failures_and_versions_are_told():
    step = StepRecord(name="fit_tensor", ran=True, n_done=9, n_failed=1)
    text = str(methods_text([step], versions={"dipy": "1.12.1"}))
    assert "It failed in 1 of 10." in text
    assert "Versions: dipy 1.12.1." in text


def test_an_unknown_step_is_told_by_its_name():
    text = methods_text([StepRecord(name="new_idea", ran=True, settings={"depth": 3.5})])
    assert "new idea (depth 3.5)." in str(text)


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences_name_known_chapters_and_works(name):
    sentence = SENTENCES[name]
    assert sentence.chapter in CHAPTERS
    assert set(sentence.references) <= set(REFERENCES)
    assert sentence.text.endswith(".")


def test_references_by_setting_exist():
    assert set(BY_SETTING.values()) <= set(REFERENCES)
