"""python -m ltp_service: the same as `ltp`."""

import sys

from ltp_service.cli import main

if __name__ == "__main__":
    sys.exit(main())
