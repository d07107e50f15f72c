"""Studies: many selections and trainings, their results and the report of them."""
