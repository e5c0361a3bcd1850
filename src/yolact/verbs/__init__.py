"""The verbs of the command line, one file each. Heavy imports wait until a verb runs, so that `--help` is quick."""
