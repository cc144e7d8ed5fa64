"""`python -m vrmatte`: the command line."""

from vrmatte.cli.main import main

if __name__ == "__main__":
    main()
