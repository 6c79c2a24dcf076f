"""The commands of `vantail`, a file each: `add` makes its parser, whose `run` takes the options and gives a code."""
