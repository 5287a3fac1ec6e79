# What is typed into GitHub's settings as the webhook's secret; this one is of GitHub's documentation.
printf %s "It's a Secret to Everybody" | sandmill variables put f/examples/github-secret --secret
