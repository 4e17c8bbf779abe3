"""From a charter to training rows: critique and revise, writing refusals, preferences, and the gates in between."""
