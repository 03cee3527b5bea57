"""From a recipe file to a composed, validated, typed Recipe. Hydra lives here and nowhere else."""
