"""People decide what was uncertain: which rows they should see, and what their decisions become."""
