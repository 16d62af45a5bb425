"""How the starter GPT that ships with the product is made: `python -m training.starter`. Pure Python; torch runs as a child."""
