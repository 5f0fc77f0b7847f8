"""`python -m ihobs`: the command line, for where the `ihobs` script is not on the path."""

from ihobs.cli import main

main(prog_name="ihobs")
