"""Settings: the models of all keys, configuration files, and the notices about keys."""
