"""``python -m serving.gateway``: one worker. Exit 0 after a drain, 2 if it cannot start."""

from __future__ import annotations

import sys

from serving.gateway.server import run
from serving.gateway.settings import SettingsError, parse_arguments


def main() -> int:
    try:
        return run(parse_arguments(sys.argv[1:]))
    except SettingsError as e:
        print(f"gateway: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
