"""Records on a terminal: tables that fit, views of one record, times that a person reads. Loaded for a terminal alone."""
