"""Take secrets, personal data and contents out of spans before anything is stored."""
