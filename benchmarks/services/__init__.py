"""How fast are the services and their workers, over a real broker?"""
