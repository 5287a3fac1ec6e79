# The stream is made by whoever publishes: nats stream add ORDERS --subjects 'orders.>' --defaults
sandmill resources put f/examples/orders-broker --type nats --value '{"servers": ["nats://nats.example.com:4222"]}'
