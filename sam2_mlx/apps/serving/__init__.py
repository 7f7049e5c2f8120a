"""The package behind a pipe, a socket or a WebSocket: messages, methods, and who runs them."""
