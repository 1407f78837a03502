"""Deal registration: the partner's claim, the vendor's decision, the protection, the win."""
