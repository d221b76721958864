"""``python -m wimmel``: the command line where the ``wimmel`` script is not on the path."""

from wimmel.cli import main

if __name__ == "__main__":
    main()
