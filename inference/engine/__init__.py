"""A causal language model that answers: sampling, scoring and the folder it is loaded from.

Pure PyTorch and transformers, no Django. `config` and `folder` import no torch, so that a web process may use them.
"""
