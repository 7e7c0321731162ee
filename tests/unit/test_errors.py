import pytest

from msimaging.errors import ConfigError, Finding, InputError, raise_on_errors


def finding(severity="error", where="a.bval", rule="rule") -> Finding:
    return Finding(severity=severity, where=where, rule=rule, found="3", remedy="Do this.")


def test_a_finding_is_one_line_with_place_rule_found_and_remedy() -> None:
    assert str(finding()) == "a.bval: rule; found 3. Do this."
    assert str(finding(where="")) == "rule; found 3. Do this."


def test_every_error_is_raised_at_once_and_the_rest_is_handed_back() -> None:
    found = [finding(rule="one"), finding("warning"), finding(rule="two")]
    with pytest.raises(InputError) as caught:
        raise_on_errors(found)
    assert [f.rule for f in caught.value.findings] == ["one", "two"]
    assert raise_on_errors(found[1:2]) == (found[1],)
    assert issubclass(ConfigError, ValueError)
