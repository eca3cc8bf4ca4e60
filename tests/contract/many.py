"""The keys of a listing of several pages, in order: objects, and folders of one object each."""

from __future__ import annotations

from typing import Final

FILES: Final = [f"file-{number:04}" for number in range(1300)]
FOLDERS: Final = [f"folder-{number:04}/" for number in range(1200)]
MANY: Final = FILES + [f"{folder}key" for folder in FOLDERS]
