"""A language model in this process through PyTorch, which answers requests that wait together in one pass.

`provider`: the port itself; `queue`: who waits together; `prompts`: from requests to rows of tokens; `prefixes`: what rows have in
common is computed once; `decoding`: from rows to answers; `weights`: the model, its tokenizer and its number type.
"""
