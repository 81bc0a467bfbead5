"""`python -m authctl`."""

from authctl.cli.app import main

if __name__ == "__main__":
    main()
