"""HOW services talk: settings, errors, log, AWS clients and the queue worker."""
