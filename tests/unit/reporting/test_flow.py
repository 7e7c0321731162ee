import pandas as pd

from msimaging.reporting.flow import ModalitySteps, flow_numbers

STEPS = {
    "dwi": ModalitySteps(measured="measure_diffusion", compared="change_diffusion"),
    "bold": ModalitySteps(measured="connect_parcels", compared="change_connectivity"),
}


def _ledger():
    rows = []
    for patient in ("01", "02"):
        for session in ("baseline", "month06"):
            rows += [("measure_diffusion", patient, session, "done", "")]
        rows += [("change_diffusion", patient, "baselineToMonth06", "done", "")]
    rows += [("measure_diffusion", "03", "baseline", "done", "")]
    rows += [("dwi", "03", "month06", "excluded", "comment of the rater")]
    rows += [("change of dwi", "03", "baseline", "unpaired", "only baseline has usable dwi")]
    rows += [("dwi", "04", s, "excluded", "no b=0 volume") for s in ("baseline", "month06")]
    rows += [("bold", "01", s, "absent", "no bold scan") for s in ("baseline", "month06")]
    rows += [("connect_parcels", "02", s, "done", "") for s in ("baseline", "month06")]
    rows += [("change_connectivity", "02", "baselineToMonth06", "failed", "too few frames")]
    columns = ["step", "participant_id", "session_id", "state", "reason"]
    return pd.DataFrame(rows, columns=columns)


def _count(flow, stage, modality):
    (row,) = flow[(flow["stage"] == stage) & (flow["modality"] == modality)].to_dict("records")
    return row


def test_numbers_fall_where_patients_were_lost():
    flow = flow_numbers(_ledger(), enrolled=["01", "02", "03", "04", "05"], modalities=STEPS)
    counts = {(r["stage"], r["modality"]): r["n"] for r in flow.to_dict("records")}
    assert counts == {
        ("Enrolled", ""): 5,
        ("Scanned", ""): 4,
        ("Scan at hand", "dwi"): 4,
        ("Passed quality", "dwi"): 3,
        ("Paired", "dwi"): 2,
        ("Analysed", "dwi"): 2,
        ("Scan at hand", "bold"): 1,
        ("Passed quality", "bold"): 1,
        ("Paired", "bold"): 1,
        ("Analysed", "bold"): 0,
    }
    assert (flow["n_lost"] >= 0).all()


def test_reasons_come_from_the_ledger():
    flow = flow_numbers(_ledger(), enrolled=["01", "02", "03", "04", "05"], modalities=STEPS)
    assert _count(flow, "Passed quality", "dwi")["reasons"] == "no b=0 volume (1)"
    assert "comment of the rater (1)" in _count(flow, "Paired", "dwi")["reasons"]
    assert _count(flow, "Analysed", "bold")["reasons"] == "too few frames (1)"
