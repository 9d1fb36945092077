import sys

from benchmarks.alerts.command import main

sys.exit(main(sys.argv[1:]))
