"""One function per workflow rule: read, one pure call, write with sidecar."""
