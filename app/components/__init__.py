"""Streamlit components written for this app."""
