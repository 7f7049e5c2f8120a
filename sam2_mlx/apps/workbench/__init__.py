"""The workbench: a page in the browser, and the server on this machine that it talks to."""
