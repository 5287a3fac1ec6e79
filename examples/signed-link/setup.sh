sandmill variables put f/examples/site --value https://files.example.com
# Read from a pipe; at a terminal it would be asked for.
printf %s "a key of at least sixteen bytes" | sandmill variables put f/examples/signing-key --secret
