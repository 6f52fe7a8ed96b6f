"""recovery.csv: a row a recording, and the settings it was recovered with, so that a second run goes on where the first ended."""

import csv
import json
import os
from pathlib import Path

from common.files import written_whole

COLUMNS = ("file", "method", "solver", "iterations", "objective", "snr_db", "seconds")
NOT_OF_THE_RESULT = (
    "files",
    "output",
    "batch_size",
    "overwrite",
    "checkpoint",
    "classifier_checkpoint",
    "inverse_mapping_checkpoint",
)  # settings that change no result


class Results:
    """The rows in `folder`/recovery.csv, kept from an earlier run if that had the same settings.

    settings: what the results depend on. overwrite: begin anew in any case. Rows made with other settings are moved to recovery_previous.csv.
    """

    def __init__(self, folder, settings, overwrite=False):
        self.table, self.made_with = Path(folder) / "recovery.csv", Path(folder) / "recovery.json"
        self.settings = {name: value for name, value in settings.items() if name not in NOT_OF_THE_RESULT}
        self.rows = {}
        if not self.table.exists():
            return
        if not overwrite and self._settings_before() == self.settings:
            with open(self.table, newline="", encoding="utf-8") as file:
                self.rows = {row["file"]: row for row in csv.DictReader(file) if set(COLUMNS) <= set(row)}
            return
        if not overwrite:
            print(f"{self.table} was made with other settings; it is now {self.table.with_name('recovery_previous.csv')}")
        os.replace(self.table, self.table.with_name("recovery_previous.csv"))

    def _settings_before(self):
        try:
            return json.loads(self.made_with.read_text())
        except (OSError, ValueError):
            return None

    def has(self, path, written):
        """True if the recording `path` has a row and its latent vector `written` is there and newer than the recording."""
        return str(path) in self.rows and written.exists() and written.stat().st_mtime >= path.stat().st_mtime

    def add(self, path, method, solver, iterations, objective, snr_db, seconds):
        """Adds or replaces the row of one recording."""
        values = (str(path), method, solver, int(iterations), f"{objective:.6g}", f"{snr_db:.2f}", f"{seconds:.2f}")
        self.rows[str(path)] = dict(zip(COLUMNS, values))

    def write(self):
        """Writes both files whole."""
        with written_whole(self.made_with, "w") as file:
            json.dump(self.settings, file, indent=2)
        with written_whole(self.table, "w") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
            table.writeheader()
            table.writerows(self.rows.values())
