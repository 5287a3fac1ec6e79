# The account: the token goes to this origin and nowhere else. It is asked for, or taken from SANDMILL_SECRET_BEARER.
sandmill resources put f/examples/tracker-account --type http --field origin=https://api.example.com --secret bearer
