"""Perturbations of the training split on disk, beside the clean data; N, C or A after a set's name selects one."""

from ms_coreset.datasets.overlays.attacked_images import apply_attack, attack_path, make_attack
from ms_coreset.datasets.overlays.corrupted_images import apply_corruption, corruption_path, make_corruption
from ms_coreset.datasets.overlays.noisy_labels import apply_label_noise, label_noise_path, make_label_noise

__all__ = ["OVERLAYS", "apply_attack", "apply_corruption", "apply_label_noise", "attack_path", "corruption_path",
           "label_noise_path", "make_attack", "make_corruption", "make_label_noise"]

# Letter after a data set's name -> (where the overlay lies, how it is laid over the clean training split).
OVERLAYS = {"N": (label_noise_path, apply_label_noise), "C": (corruption_path, apply_corruption),
            "A": (attack_path, apply_attack)}
