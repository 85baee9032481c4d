"""The probe: from a configuration to Gram matrices, results and a table."""
