"""Doors for other programs: projects, a worker that serves messages, the workbench, bundles."""
