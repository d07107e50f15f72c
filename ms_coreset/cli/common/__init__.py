"""What the commands share: their options, and what follows from them."""
