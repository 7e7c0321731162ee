import re

import pytest

from msimaging.bids.layout import TEMPLATES, benchmark, log, output, shown_in_reports
from msimaging.bids.names import parse_name

#: Order of the entities in a name, BIDS 1.10 with BEP012, 016 and 017.
ORDER = [
    *("sub", "ses", "task", "from", "to", "mode", "hemi", "space", "model", "param", "atlas"),
    *("seg", "scale", "res", "den", "label", "stat", "desc"),
]


@pytest.mark.parametrize("key", TEMPLATES)
def test_names_are_bids_with_entities_in_order(key: str) -> None:
    if not TEMPLATES[key].startswith("{sub}"):
        return
    values = {"sub": "sub-1", "ses": "ses-2", "task": "rest", "param": "fa", "atlas": "A"}
    values |= {"pair": "aToB", "stat": "covariance", "strategy": "36p", "seed": "PCC"}
    path = output(key, **values)
    assert "{" not in path
    name = parse_name(path)
    assert name is not None
    places = [ORDER.index(entity) for entity in name.entities]
    assert places == sorted(places)


def test_no_two_outputs_share_a_name() -> None:
    filled = [re.sub(r"\{(\w+)\}", r"\1", text) for text in TEMPLATES.values()]
    assert len(set(filled)) == len(filled)


def test_wildcards_not_given_stay() -> None:
    path = output("tensor_map", sub="sub-01")
    assert path.count("{ses}") == 2
    assert path.endswith("_param-{param}_dwimap.nii.gz")
    with pytest.raises(KeyError):
        output("no_such_output")


def test_logs_and_benchmarks_lie_side_by_side() -> None:
    assert log("fit_tensor", "sub", "ses") == "logs/fit_tensor/{sub}_{ses}.log"
    assert benchmark("fit_tensor", "sub") == "benchmarks/fit_tensor/{sub}.tsv"
    assert log("write_ledger") == "logs/write_ledger/cohort.log"


def test_reports_show_one_file_of_each_figure() -> None:
    slopes = ["figures/slopes.pdf", "figures/slopes.svg", "figures/slopes.png"]
    maps = ["figures/a.b/maps.svg", "figures/a.b/maps.pdf", "figures/a.b/maps.tsv"]
    assert shown_in_reports([*slopes, *maps, "figures/a.b/maps.rst"]) == [slopes[-1], maps[0]]
    assert shown_in_reports([*reversed(slopes), *maps]) == [slopes[-1], maps[0]]
