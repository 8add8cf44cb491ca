"""What stands between the app's pages and the network: headers, style, memory, the end."""
