"""Makes `ways` known to the tests in the folders below."""
