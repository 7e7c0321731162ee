"""HTML pages, methods text and flow diagram."""
