"""Where rows live. Nothing else in Charter opens run folders or databases."""
