"""Whether the right alert fires, in time, when something is broken on purpose: ``ops load certify``."""
