"""`python -m console` is `novix`."""

from console.start import main

if __name__ == "__main__":
    main()
