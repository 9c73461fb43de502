"""What stands between visitors and Streamlit: who has signed in, how much a socket may send, how a login ends."""
