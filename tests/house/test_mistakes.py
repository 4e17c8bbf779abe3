"""A person's mistakes at the keyboard: the exit code, one line that says what is wrong, the next command, and nothing lost."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.house.conftest import Charter
