"""People: who asks, what GitHub lets them do, and how they sign in. Knows no page: `web` asks here before each."""
