"""The prompt optimizer against its peers: same model, items, messages, parser and number of calls (`benchmarks/acla_protocol.md`).

``python -m benchmarks.acla_peers`` runs what is missing, cell by cell (arm × data seed × budget), and prints the table.
`items` draws, `settings` holds what was fixed beforehand, `arms` runs one cell, `cells` many, `testing` asks the held-out items
once a prompt, `figures_of` and `report` say what came out. The rivals' programs are `benchmarks/peers/acla_*.py`.
"""
