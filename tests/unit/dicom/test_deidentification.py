import gzip
from datetime import date
from pathlib import Path

import nibabel as nib
import numpy as np

from msimaging.dicom.deidentification import (
    found_in,
    kept_fields,
    shifted_day,
    write_clean_image,
)
from msimaging.dicom.register import Ingested, Register

KEY = bytes(range(32))


def test_only_acquisition_fields_stay() -> None:
    fields = {
        "EchoTime": 0.03,
        "PatientName": "A",
        "SeriesDescription": "rest Weissmann",
        "ImagingFrequency": 123.2,
        "DeviceSerialNumber": "1",
        "AcquisitionTime": "10:00:00",
    }
    assert kept_fields(fields, ()) == ({"EchoTime": 0.03}, [])


def test_a_field_that_holds_a_name_goes_and_is_told() -> None:
    fields = {"ReceiveCoilName": "Coil of WEISSMANN", "Manufacturer": "Weiss", "EchoTime": 774411}
    kept, dropped = kept_fields(fields, ("Weissmann", "774411"))
    assert kept == {"Manufacturer": "Weiss", "EchoTime": 774411}
    assert dropped == ["ReceiveCoilName"]


def test_identifying_values_are_found_as_words() -> None:
    assert found_in("scan of D.Karl_9143", ["karl", "9143", "arl"]) == ["9143"]
    assert found_in("V9143-2", ["9143"]) == []
    assert found_in("a 9143 b", ["9143"]) == ["9143"]


def test_a_clean_image_has_the_same_voxels_and_no_text(tmp_path: Path) -> None:
    data = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    image = nib.Nifti1Image(data, np.diag([2.0, -2.0, 3.0, 1.0]))
    image.header["descrip"] = b"TE=3;Time=102254;WEISSMANN"
    image.header["aux_file"] = b"HOSP1"
    image.header["intent_name"] = b"Dorothea"
    image.header["scl_slope"], image.header["scl_inter"] = 2.5, -1.0
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Weissmann"))
    source = tmp_path / "Weissmann.nii"
    nib.save(image, source)
    for name in ("one.nii.gz", "two.nii.gz"):
        write_clean_image(source, tmp_path / name)
    written, there = nib.load(tmp_path / "one.nii.gz"), nib.load(source)
    np.testing.assert_array_equal(written.get_fdata(), there.get_fdata())
    np.testing.assert_array_equal(written.affine, there.affine)
    content = (tmp_path / "one.nii.gz").read_bytes()
    for text in (b"eissmann", b"EISSMANN", b"HOSP1", b"Dorothea", b"102254"):
        assert text not in gzip.decompress(content)
        assert text not in content
    assert content == (tmp_path / "two.nii.gz").read_bytes()
    assert len(written.header.extensions) == 0


def test_moved_dates_keep_intervals_and_are_marked_by_their_year() -> None:
    first, second = date(2021, 3, 14), date(2021, 9, 20)
    moved = [shifted_day(day, "sub-01", KEY) for day in (first, second)]
    assert moved[1] - moved[0] == second - first
    assert moved[1].year < 1925
    assert shifted_day(first, "sub-02", KEY) != moved[0]
    assert shifted_day(first, "sub-01", bytes(32)) != moved[0]


def test_the_register_tells_nothing_without_its_key(tmp_path: Path) -> None:
    register = Register(tmp_path)
    scan = tmp_path / "sub-1" / "x_dwi.nii.gz"
    scan.parent.mkdir()
    scan.touch()
    entry = Ingested(
        series=register.digest("1.2.3"),
        patient=register.digest("HOSP1\nA^B"),
        participant_id="sub-1",
        session_id="ses-a",
        path="sub-1/x_dwi.nii.gz",
    )
    register.write([entry])
    again = Register(tmp_path)
    assert again.known("1.2.3") == entry
    assert again.known("1.2.4") is None
    assert again.participants_of("HOSP1\nA^B") == {"sub-1"}
    assert again.patients_of("sub-1") == {entry.patient}
    text = (tmp_path / "sourcedata" / "msimaging" / "series.tsv").read_text()
    assert "1.2.3" not in text
    assert "HOSP1" not in text
    # another dataset's digests differ: two lists cannot be joined
    assert Register(tmp_path / "other").digest("1.2.3") != entry.series
    scan.unlink()
    assert again.known("1.2.3") is None
