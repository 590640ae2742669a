"""One of a machine's GPUs for each step of the pipeline: what runs at the same time would share the first one.

PyTorch's "cuda" is the first card that CUDA_VISIBLE_DEVICES lists when a process loads CUDA; a step sets it for its notebook.
"""

import atexit
import os
import subprocess
import tempfile
from pathlib import Path

from glocal.system.locks import lock

VISIBLE = "CUDA_VISIBLE_DEVICES"


def choose_card(alone: bool) -> None:
    """Set CUDA_VISIBLE_DEVICES to one card, if there are several: of those that it lists where a scheduler or a user has set it.

    alone: lease a card, until this process ends; others that do so get another one. Without it, and where all are leased: the
    first in the list, or without a list the card with most free memory.
    """
    cards = os.environ[VISIBLE].split(",") if VISIBLE in os.environ else _by_free_memory()
    if len(cards) > 1:
        os.environ[VISIBLE] = next((card for card in cards if alone and _leased(card)), cards[0])


def _by_free_memory() -> list[str]:
    """The identifiers of the cards, most free memory first; [] without NVIDIA's driver."""
    command = ["nvidia-smi", "--query-gpu=memory.free,uuid", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
        free = [line.split(",") for line in lines]
        return [card.strip() for _, card in sorted(free, key=lambda row: -int(row[0]))]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []


def _leased(card: str) -> bool:
    """Lease a card for this process; False if another process of this user has it."""
    held = lock(Path(tempfile.gettempdir()) / f"glocal-{os.getuid()}-{card.strip()}.lease")
    try:
        held.acquire(timeout=0)
    except OSError:  # also filelock's Timeout
        return False
    atexit.register(held.release)
    return True
