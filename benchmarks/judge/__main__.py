import sys

from benchmarks.judge.command import main

sys.exit(main(sys.argv[1:]))
