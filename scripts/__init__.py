"""Programs of this checkout: `python -m scripts.up` and others; not part of the installed package."""
