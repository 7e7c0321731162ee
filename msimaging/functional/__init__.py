"""From raw BOLD to parcel time series, connectivity and its uncertainty."""
