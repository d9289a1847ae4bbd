"""Racing on rungs of shared items: permissive, because the strict decision comes later and on fresh items."""
