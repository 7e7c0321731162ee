"""Drawing: these modules draw what they are given and compute nothing."""
