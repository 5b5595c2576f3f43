"""A night's run: fine-tunings queued at once, killed now and then (`python -m scripts.night`)."""
