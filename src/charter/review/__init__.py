"""People decide what was uncertain: which rows they should see, how they read them, and what their decisions become."""
