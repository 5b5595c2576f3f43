"""What every room of Halfface agrees on: labels, views, preprocessing, wire schemas, the model folder.

Pure: reads no environment, opens no connection, needs no torch, imports nothing of the services or the trainer.
"""
