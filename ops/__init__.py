"""The control plane and its command line. Of ``serving`` it imports the contract alone."""
