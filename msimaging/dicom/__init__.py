"""From the scanner's DICOM files to the scans of a BIDS visit, without who was scanned."""
