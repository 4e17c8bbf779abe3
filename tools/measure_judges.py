"""Measure the shipped judges and write the figures: python tools/measure_judges.py --data $CHARTER_DATA [--out .../measured.json]"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from charter.judges._measure import measure


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the shipped judges.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("src/charter/judges/measured.json"))
    args = parser.parse_args()
    args.out.write_text(json.dumps(measure(args.data), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
