"""SFT, reward models and PPO in pure PyTorch on transformers models. Start it with `python -m training.core`."""
