"""The parts of `scripts/draw_faces.py`: who is drawn, the brush, the head."""
