"""The inference service: a picture in, the emotion on each face out. Flask, gunicorn, ONNX Runtime; no torch."""
