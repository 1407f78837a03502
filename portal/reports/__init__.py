"""What the portal knows, for channel managers; and the page everyone starts on."""
