"""What do language models and embeddings bring beside the text model, and what do compression and batches?"""
