#!/bin/sh
# Tell Snakemake how a Slurm job fares: running, success or failed.
# A question that nobody answers means running: an outage must not cost a job that goes on.
job="$1"
answer=$(timeout 30 scontrol --oneliner show job "$job" 2>&1)
state=$(printf '%s\n' "$answer" | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p' | head -n 1)
if [ -z "$state" ]; then
    # forgotten by the controller; where there is accounting, it still knows
    state=$(timeout 30 sacct --allocations --noheader --parsable2 --format State \
        --jobs "$job" 2>/dev/null | head -n 1 | cut -d ' ' -f 1)
    case "$answer" in
        *"Invalid job id"*) state=${state:-LOST} ;;
    esac
fi
case "$state" in
    COMPLETED) echo success ;;
    BOOT_FAIL | CANCELLED | DEADLINE | FAILED | LOST | NODE_FAIL | OUT_OF_MEMORY | PREEMPTED | \
        REVOKED | TIMEOUT) echo failed ;;
    *) echo running ;;
esac
