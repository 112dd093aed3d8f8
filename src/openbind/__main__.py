"""`python -m openbind` is the same as `openbind`."""

from openbind.cli.main import run

if __name__ == "__main__":
    run()
