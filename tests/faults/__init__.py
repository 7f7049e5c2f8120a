"""Small faults, and the test that must catch each; none of these tests is in tests/parity."""

from tests.faults import checkpoints, cli, evaluation, live, media, ops, tracking

FAULTS = (
    *live.FAULTS,
    *tracking.FAULTS,
    *media.FAULTS,
    *checkpoints.FAULTS,
    *cli.FAULTS,
    *evaluation.FAULTS,
    *ops.FAULTS,
)
