"""`python -m srdscan`."""

from srdscan.cli import main

if __name__ == "__main__":
    main()
