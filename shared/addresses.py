"""Hosts as they stand in addresses. Pure."""


def in_address(host: str) -> str:
    """Return a host as it stands before `:port`: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
