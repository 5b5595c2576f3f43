"""The page in the browser: Streamlit pages around one HTTP client of the gateway. Imports `shared` only."""
