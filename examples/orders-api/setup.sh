# What callers show in `x-api-key`.
printf %s "the key of the orders" | sandmill variables put f/examples/orders-key --secret
