"""`python -m autoif`."""

from autoif.cli.main import main

main()
