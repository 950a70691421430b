"""How well calibrated the student of a trial is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """From a record of the calibration error alone."""
    op.add_column("trial", sa.Column("calibration", sa.JSON))
