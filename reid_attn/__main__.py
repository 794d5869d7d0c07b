"""`python -m reid_attn` is the command `reid-attn`."""

import sys

from .commands import main

if __name__ == "__main__":
    sys.exit(main())
