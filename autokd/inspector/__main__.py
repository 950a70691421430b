"""`python -m autokd.inspector [SECONDS]` answers what comes on stdin, until idle for so long."""

import sys

from autokd.inspector.child import serve

serve(idle_seconds=float(sys.argv[1]) if len(sys.argv) > 1 else None)
