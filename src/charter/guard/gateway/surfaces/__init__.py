"""One file for each surface: what its requests and answers look like, and where texts stand in them. A path that has no file here is not served."""
