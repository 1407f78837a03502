"""Who may use the portal: partners, people, sessions, invitations."""
