"""The door of Halfface: REST for people and programs, in front of inference, the queue and the folders.

Run it with `python -m services.gateway`; every setting is an environment variable, see `settings.py`.
"""
