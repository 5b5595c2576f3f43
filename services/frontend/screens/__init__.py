"""One module for each page; each has a `show` function that `app.py` hands to the navigation.

The folder is not called `pages`: Streamlit would run its files alone when a fresh server is asked for one first.
"""
