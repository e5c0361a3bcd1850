"""`python -m yolact` is `yolact`."""

from yolact.cli import main

if __name__ == "__main__":
    main()
