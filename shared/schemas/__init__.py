"""The wire: what services say to each other and to the world, written once. Server and client parse with these."""
